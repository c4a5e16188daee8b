package outbox_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestAConfigurationThatNamesOnlyThePathRecords(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DO_NOT_TRACK", "")
	box, err := outbox.New(outbox.Config{Path: "usage.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if !filepath.IsAbs(box.Path()) {
		t.Errorf("the path is %q: a flusher works in another directory", box.Path())
	}
	for n := range 2 {
		r, err := box.Record(t.Context(), adding(outbox.Message{Event: "ran", AnonID: "somebody"}))
		if want := (outbox.Recorded{First: n == 0}); err != nil || r != want {
			t.Errorf("recorded %+v, %v; want %+v, as there is no sink", r, err, want)
		}
	}
	if list := outboxtest.Recorded(t, box); len(list) != 2 || list[0].UUID >= list[1].UUID {
		t.Errorf("%+v: want two uuids in the order of recording", list)
	}
}

func TestAWrongConfigurationIsAnErrorBeforeAnythingIsTouched(t *testing.T) {
	if _, err := outbox.New(outbox.Config{}); err == nil || !strings.Contains(err.Error(), "Path") {
		t.Errorf("the error is %v, want one that names what is missing", err)
	}
	file := &fstest.MapFile{Data: []byte(`CREATE TABLE greetings (name TEXT)`)}
	for name, tables := range map[string]fstest.MapFS{
		"none at the top, as without fs.Sub": {"migrations/0001_greetings.sql": file},
		"a gap":                              {"0001_greetings.sql": file, "0003_more.sql": file},
		"one number twice":                   {"0001_greetings.sql": file, "0001_more.sql": file},
	} {
		dir := t.TempDir()
		_, err := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Tables: tables})
		if err == nil || !strings.Contains(err.Error(), "Config.Tables") {
			t.Errorf("%s: %v; want an error of Config.Tables: a table that is silently missing is found by the users", name, err)
		}
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%s: %v was made", name, files)
		}
	}
}

func TestATransactionEndsWithItsFunctionAlone(t *testing.T) {
	b := newBench(t, 0)
	b.tx(func(tx *outbox.Tx) error {
		defer tx.Rollback() // as is customary in Go
		if err := tx.Commit(); err == nil {
			t.Error("Commit says that it has committed; what an error of the function undoes would not be undone")
		}
		return tx.Add(t.Context(), b.event(1))
	})
	b.holds(outbox.Counts{Pending: 1}, "a habit must not lose it")
}

func TestNoFunctionIsNoPanic(t *testing.T) {
	b := newBench(t, 0)
	_, recorded := b.box.Record(t.Context(), nil)
	for name, err := range map[string]error{
		"Record": recorded, "Update": b.box.Update(t.Context(), nil), "View": b.box.View(t.Context(), nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "give it a function") {
			t.Errorf("%s returns %v, want an error that says what to do", name, err)
		}
	}
	b.tx(func(tx *outbox.Tx) error {
		tx.AfterCommit(nil)
		return nil
	})
}

func TestAWriteInAViewSaysThatAViewOnlyReads(t *testing.T) {
	b := newBench(t, 1)
	ctx := t.Context()
	for name, write := range map[string]func(tx *outbox.Tx) error{
		"Add":   func(tx *outbox.Tx) error { return tx.Add(ctx, b.event(2)) },
		"Retry": func(tx *outbox.Tx) error { _, err := tx.Retry(ctx, nil); return err },
		"a statement of the program's own": func(tx *outbox.Tx) error {
			_, err := tx.ExecContext(ctx, `CREATE TABLE greetings (name TEXT)`)
			return fmt.Errorf("greet: %w", err)
		},
	} {
		if err := b.box.View(ctx, write); err == nil || err.Error() != "a View only reads: use Record or Update" {
			t.Errorf("%s: %v; want the error to say what to do", name, err)
		}
	}
}

func TestAUUIDIsGivenOnce(t *testing.T) {
	b := newBench(t, 0)
	for _, second := range []outbox.Message{b.event(2), b.alias("person")} {
		first := b.event(1)
		second.UUID = first.UUID
		_, err := b.box.Record(t.Context(), adding(first, second))
		if err == nil || !strings.Contains(err.Error(), "the queue has a message with its uuid") {
			t.Errorf("a second %s with one uuid: %v, want an error in words; a server would fold the two", second.Kind, err)
		}
	}
	b.holds(outbox.Counts{}, "the error undoes all")
}

func TestDoNotTrackIsHeededUnlessTheProgramsOwnSwitchIsOn(t *testing.T) {
	for _, test := range []struct {
		value   string
		consent outbox.Override
		want    error
	}{
		{"yes", outbox.NoOverride, outbox.ErrOff},
		{" OFF ", outbox.NoOverride, nil},
		{"0", outbox.NoOverride, nil},
		{"1", outbox.ForceOn, nil},
		{"0", outbox.ForceOff, outbox.ErrOff},
	} {
		t.Setenv("DO_NOT_TRACK", test.value)
		b := newBench(t, 0)
		_, err := b.open(func(cfg *outbox.Config) { cfg.Consent = test.consent }).Record(t.Context(), adding(b.event(1)))
		b.meets(err, test.want, fmt.Sprintf("recording with DO_NOT_TRACK=%q and %v", test.value, test.consent))
		if files, _ := os.ReadDir(filepath.Dir(b.path)); test.want != nil && len(files) > 0 {
			t.Errorf("with tracking off %v was created", files)
		}
	}
}

func TestAMessageAndTheEmbeddersChangeAreCommittedTogetherOrNotAtAll(t *testing.T) {
	b := newBench(t, 0)
	box := b.open(func(cfg *outbox.Config) {
		cfg.Tables = fstest.MapFS{"0001_greetings.sql": {Data: []byte(`CREATE TABLE greetings (name TEXT NOT NULL) STRICT;`)}}
	})
	for n, want := range []error{errors.New("boom"), nil} {
		_, err := box.Record(t.Context(), func(tx *outbox.Tx) error {
			_, err := tx.Exec(`INSERT INTO greetings (name) VALUES ('Ada')`)
			return cmp.Or(err, tx.Add(t.Context(), b.event(1)), want)
		})
		var greeted, waiting int
		b.must(box.View(t.Context(), func(tx *outbox.Tx) error {
			return tx.QueryRow(`SELECT (SELECT count(*) FROM greetings), (SELECT count(*) FROM messages)`).Scan(&greeted, &waiting)
		}))
		if err != want || greeted != n || waiting != n {
			t.Errorf("%v, %d rows and %d messages; want the caller's own error, %v, and %d of each", err, greeted, waiting, want, n)
		}
	}
}

// Erasing goes on after its commit: the file shrinks, which a reader or a signal may prevent.
func TestWhatFollowsACommitRunsAlsoWhenErasingFailsLater(t *testing.T) {
	b := newBench(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	b.once("after-commit", cancel)
	runs := 0
	_, err := b.box.Forget(ctx, func(tx *outbox.Tx) error {
		tx.AfterCommit(func() error { runs++; return nil })
		return nil
	})
	if !errors.Is(err, context.Canceled) || runs != 1 {
		t.Errorf("%v, and it ran %d times; want the messages erased, it run once, and the signal told", err, runs)
	}
	b.holds(outbox.Counts{Erased: 3}, "it was committed")
}

// What the embedder does outside the database happens in the order of the commits.
func TestWhatFollowsACommitRunsUnderTheLockAndUndoesNothing(t *testing.T) {
	b := newBench(t, 0)
	boom, runs := errors.New("boom"), 0
	for _, own := range []error{nil, errors.New("taken back")} {
		r, err := b.box.Record(t.Context(), func(tx *outbox.Tx) error {
			tx.AfterCommit(func() error {
				runs++
				if !store.IsLocked(b.path + ".lock") {
					t.Error("the lock is not held")
				}
				return boom
			})
			return errors.Join(tx.Add(t.Context(), b.event(1)), own)
		})
		if !errors.Is(err, own) || errors.Is(r.Trouble, boom) != (own == nil) {
			t.Errorf("%v, %v: want the trouble told of the event that was recorded", r, err)
		}
	}
	if runs != 1 || store.IsLocked(b.path+".lock") {
		t.Errorf("it ran %d times, want once, after the one commit, and the lock given back", runs)
	}
	b.holds(outbox.Counts{Pending: 1}, "it was committed")
}

func TestAContextEndsTheWaitForTheLock(t *testing.T) {
	b := newBench(t, 1)
	box := b.open(func(cfg *outbox.Config) { cfg.LockWait = time.Hour })
	b.tx(func(*outbox.Tx) error { // which holds the lock meanwhile
		for name, wait := range map[string]func(ctx context.Context) error{
			"update in another goroutine": func(ctx context.Context) error { return b.box.Update(ctx, adding(b.event(1))) },
			"flush":                       func(ctx context.Context) error { _, err := box.Flush(ctx, outbox.FlushOptions{}); return err },
			"disable":                     func(ctx context.Context) error { _, err := box.Disable(ctx); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			ended := make(chan error)
			go func() { ended <- wait(ctx) }()
			if err := <-ended; err == nil || errors.Is(err, outbox.ErrNested) {
				t.Errorf("%s ended with %v while the lock was held, want it to end with its context", name, err)
			}
			cancel()
		}
		return nil
	})
}

func TestAHomeThatComesFromAnotherMachineReleasesItsHeldMessages(t *testing.T) {
	if !outbox.HasMachineID() {
		t.Skip("this system has no id of its machine")
	}
	b := newBench(t, 0)
	moved := 0
	box := b.open(func(cfg *outbox.Config) { cfg.Moved = func(context.Context, *outbox.Tx) error { moved++; return nil } })
	b.must(box.Update(t.Context(), adding(b.held("credential"), b.alias(""), b.event(2)))) // a new one has not moved
	b.exec(`UPDATE machines SET mark = 'salt:another'`)
	for range 2 {
		_, err := box.Record(t.Context(), adding(b.event(3)))
		b.must(err)
		if moved != 1 {
			t.Errorf("the embedder was told %d times, want once: the database is at home here then", moved)
		}
	}
	for _, m := range b.messages() {
		if m.Kind == outbox.Alias || m.DistinctID == "" {
			t.Errorf("%+v still waits: the other machine may decide it otherwise", m)
		}
	}
}

func TestAFiftyFirstMachineTakesThePlaceOfTheOneLongestUnseen(t *testing.T) {
	if !outbox.HasMachineID() {
		t.Skip("this system has no id of its machine")
	}
	b := newBench(t, 0)
	b.add(b.event(1))
	b.exec(`DELETE FROM machines;
		WITH RECURSIVE c (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 49)
		INSERT INTO machines (mark, seen_at) SELECT 'salt:' || i, ?1 - i * 3600000 FROM c;
		UPDATE machines SET seen_at = seen_at - 365 * 24 * 3600000 WHERE mark = 'salt:7'`, b.clock.Now().UnixMilli())
	b.add(b.event(2))
	all, others := b.one(`SELECT count(*) FROM machines`), b.one(`SELECT count(*) FROM machines WHERE mark LIKE 'salt:%'`)
	if oldest := b.one(`SELECT count(*) FROM machines WHERE mark = 'salt:7'`); all != 50 || others != 49 || oldest != 0 {
		t.Errorf("%d machines are known, %d of the earlier 50 and %d of them the one longest unseen; want 50, 49 and 0", all, others, oldest)
	}
}

// It would wait, and be found dead later.
func TestAMessageThatTheSinkCanNeverSendIsRefusedWhenItIsAdded(t *testing.T) {
	b := newBench(t, 0)
	long := func(n int, hold string) outbox.Message {
		text := fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", n))
		return outbox.Message{Event: "ran", AnonID: "anon", Hold: hold, Properties: text}
	}
	keeping := b.open(func(cfg *outbox.Config) { cfg.Sink = nil })
	for name, test := range map[string]struct {
		box       *outbox.Outbox
		message   outbox.Message
		isRefused bool
	}{
		"one that PostHog takes":         {b.box, long(100_000, ""), false},
		"one that no request carries":    {b.box, long(600_000, ""), true},
		"such a one that is held":        {b.box, long(600_000, "credential"), true},
		"one with a long name":           {b.box, outbox.Message{Event: strings.Repeat("ran", 200_000), AnonID: "anon"}, true},
		"a long one, and no sink to ask": {keeping, long(600_000, ""), false},
	} {
		_, err := test.box.Record(t.Context(), adding(test.message))
		if _, isRefused := errors.AsType[*outbox.Unsendable](err); isRefused != test.isRefused || !isRefused && err != nil {
			t.Errorf("%s: %v; refused as an Unsendable: want %t", name, err, test.isRefused)
		}
	}
	b.holds(outbox.Counts{Pending: 2}, "those that were taken")
}

// The switch is a file of its own.
func TestWhateverHappensToTheDatabaseOffStaysOff(t *testing.T) {
	for name, harm := range map[string]func(b *bench){
		"garbage": func(b *bench) { b.must(os.WriteFile(b.path, make([]byte, 10_000), 0o600)) },
		"of an earlier version, which kept the switch in it": func(b *bench) {
			schema1, err := os.ReadFile("testdata/schema1.db")
			b.must(errors.Join(err, os.Remove(b.path+".off"), os.WriteFile(b.path, schema1, 0o600)))
			db, err := sql.Open("sqlite", b.path)
			b.must(err)
			_, err = db.Exec(`UPDATE consent SET tracking = 0`)
			b.must(errors.Join(err, db.Close()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			b.disable()
			b.must(b.box.Close())
			harm(b)
			_, recording := b.box.Record(t.Context(), adding(b.event(1)))
			_, delivering := b.flush()
			b.meets(recording, outbox.ErrOff, "recording")
			b.meets(delivering, outbox.ErrOff, "delivering")
			b.meets(b.box.Update(t.Context(), adding(b.event(1))), outbox.ErrOff, "adding in an Update")
			if n := len(b.server.Requests()); n > 0 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

func TestTheEnvironmentAndEnableBeatDisable(t *testing.T) {
	b := newBench(t, 0)
	b.disable()
	if b.box.ConsentBeside().On {
		t.Error("off is not seen without the database")
	}
	granted := func(cfg *outbox.Config) { cfg.Consent = outbox.ForceOn }
	_, err := b.open(granted).Record(t.Context(), adding(b.event(1)))
	b.must(err)
	b.mustFlush(granted)
	b.arrived(1, "the environment has the last word")
	b.must(b.box.Enable(t.Context()))
	b.addEvents(1)
	if !b.box.ConsentBeside().On {
		t.Error("on is not seen without the database")
	}
}

func TestDisableHoldsAlsoWhenTheDatabaseCannotBeUsed(t *testing.T) {
	b := newBench(t, 0)
	b.must(os.Mkdir(b.path, 0o700))
	if _, err := b.box.Disable(t.Context()); err == nil || b.box.ConsentBeside().On {
		t.Errorf("%v; want the error that nothing could be erased, and tracking off", err)
	}
}

func TestDisableErasesNothingWhenItsFileCannotBeMade(t *testing.T) {
	b := newBench(t, 1)
	b.blocks(".off")
	if _, err := b.box.Disable(t.Context()); err == nil {
		t.Error("Disable does not say that tracking may still be on")
	}
	b.holds(outbox.Counts{Pending: 1}, "off comes first")
}
