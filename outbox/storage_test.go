package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func fault(name string) outboxtest.Fault { return outboxtest.MustFault(name) }

func containsBytes(content []byte, s string) bool { return bytes.Contains(content, []byte(s)) }

func TestATransactionThatFailsLeavesNothing(t *testing.T) {
	b := newBench(t)
	boom := errors.New("boom")
	err := b.box.InTx(context.Background(), func(tx *sql.Tx) error {
		if err := outbox.AddTx(context.Background(), tx, b.event(1)); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("the error is %v, want the caller's own", err)
	}
	if c := b.counts(); c.Pending != 0 {
		t.Error("the message of a failed transaction is in the queue")
	}
}

func TestOneAnonIDIsAliasedOnce(t *testing.T) {
	b := newBench(t)
	b.add(b.alias(), b.alias())
	if list := b.messages(outbox.Filter{}); len(list) != 1 {
		t.Errorf("%d aliases of one anon id: a second one could merge two people for ever", len(list))
	}
}

func TestFilesArePrivateWhateverTheUmask(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are ACLs there")
	}
	b := newBench(t)
	b.addEvents(1)
	entries, err := os.ReadDir(filepath.Dir(b.path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, _ := e.Info(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", e.Name(), info.Mode().Perm())
		}
	}
}

func TestPathsMayHoldWhatAURIUsesForItself(t *testing.T) {
	for _, name := range []string{"a b", "100%", "what?mode=memory", "x#y", "ü"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "?") {
			continue
		}
		dir := filepath.Join(t.TempDir(), name)
		box := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Now: time.Now})
		if err := box.InTx(context.Background(), func(*sql.Tx) error { return nil }); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "usage.db")); err != nil {
			t.Errorf("%q: the database is elsewhere: %v", name, err)
		}
		box.Close()
	}
}

func TestLookingCreatesAndChangesNothing(t *testing.T) {
	b := newBench(t)
	look := func() error {
		return b.open().View(context.Background(), func(tx *sql.Tx) error {
			_, err := outbox.MessagesTx(context.Background(), tx, outbox.Filter{})
			return err
		})
	}
	if err := look(); !errors.Is(err, outbox.ErrNone) {
		t.Errorf("looking at nothing gives %v, want ErrNone", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(b.path)); len(entries) != 0 {
		t.Errorf("looking created %v", entries)
	}
	b.addEvents(1)
	if err := b.box.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(b.path)
	if err := look(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(b.path); !bytes.Equal(before, after) {
		t.Error("looking changed the database")
	}
	err := b.open().View(context.Background(), func(tx *sql.Tx) error {
		return outbox.AddTx(context.Background(), tx, b.event(2))
	})
	if err == nil {
		t.Error("a look was able to write")
	}
}

func TestANewerDatabaseIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.tx(func(tx *sql.Tx) error {
		_, err := tx.Exec(`ALTER TABLE messages ADD COLUMN mood TEXT; PRAGMA user_version = 99`)
		return err
	})
	b.box.Close()
	before, _ := os.ReadFile(b.path)
	other := b.open()
	if err := other.InTx(context.Background(), func(*sql.Tx) error { return nil }); !errors.Is(err, outbox.ErrNewer) {
		t.Errorf("writing gives %v, want ErrNewer", err)
	}
	if err := other.View(context.Background(), func(*sql.Tx) error { return nil }); !errors.Is(err, outbox.ErrNewer) {
		t.Errorf("looking gives %v, want ErrNewer", err)
	}
	if after, _ := os.ReadFile(b.path); !bytes.Equal(before, after) {
		t.Error("an older binary changed a newer database")
	}
}

func TestACorruptDatabaseIsSetAsideAndWhatIsReadableGoesOn(t *testing.T) {
	damages := map[string]struct {
		damage func(t *testing.T, path string)
		kept   func(n int) bool // of 2000 pending messages
	}{
		"garbage in the header": {overwrite(0, 100), func(n int) bool { return n == 2000 }},
		"garbage in the middle": {overwrite(200_000, 4096), func(n int) bool { return n > 1500 }},
		"cut in half":           {truncate(0.5), func(n int) bool { return n >= 0 }},
		"cut to nothing":        {truncate(0), func(n int) bool { return n == 0 }},
		"cut inside the header": {truncate(0.0001), func(n int) bool { return n == 0 }},
	}
	for name, test := range damages {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for i := range 2000 {
				b.add(b.event(i))
			}
			b.leave() // everything is in the database now
			test.damage(t, b.path)
			b.add(b.event(-1)) // reads and writes: meets the damage, or a later check does
			var checked string
			b.tx(func(tx *sql.Tx) error { return tx.QueryRow(`PRAGMA integrity_check`).Scan(&checked) })
			b.leave()
			b.mustFlush()
			if n := len(b.server.Events()); !test.kept(n - 1) {
				t.Errorf("%d of 2000 messages went on", n-1)
			}
			b.noViolations()
		})
	}
}

func overwrite(at int64, n int) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(bytes.Repeat([]byte{0xAB}, n), at); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(part float64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(float64(info.Size())*part)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAStrayWALOfAnotherDatabaseIsNotTakenUp(t *testing.T) {
	b := newBench(t)
	b.addEvents(3)
	wal, err := os.ReadFile(b.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	other := newBench(t)
	if err := os.WriteFile(other.path+"-wal", wal, 0o600); err != nil {
		t.Fatal(err)
	}
	other.addEvents(1)
	if c := other.counts(); c.Pending != 1 {
		t.Errorf("%d messages, want only its own one", c.Pending)
	}
}

func TestLeavingSyncsWithoutClosingAndALinkedDatabaseIsSyncedToo(t *testing.T) {
	elsewhere := t.TempDir()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "real.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(elsewhere, "real.db"), filepath.Join(dir, "usage.db")); err != nil {
		t.Skip("no links here")
	}
	box := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Now: time.Now})
	if err := box.InTx(context.Background(), func(*sql.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := box.Leave(); err != nil {
		t.Errorf("leave: %v", err)
	}
	wal := filepath.Join(elsewhere, "real.db-wal")
	if runtime.GOOS == "windows" { // where SQLite does not follow links to find it
		wal = filepath.Join(dir, "usage.db-wal")
	}
	if _, err := os.Stat(wal); errors.Is(err, fs.ErrNotExist) {
		t.Error("the WAL is gone: the last close checkpointed it, which Leave is there to avoid")
	}
	box.Close()
}
