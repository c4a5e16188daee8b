package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
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
	r, err := box.Record(context.Background(), adding(outbox.Message{Event: "ran", AnonID: "somebody"}))
	if err != nil || !r.First || r.Started || r.Trouble != nil {
		t.Errorf("recorded %+v, %v; want the first event, and nobody to send it", r, err)
	}
	r, err = box.Record(context.Background(), adding(outbox.Message{Event: "ran", AnonID: "somebody"}))
	if err != nil || r.First {
		t.Errorf("recorded %+v, %v; want another event", r, err)
	}
	var uuids []string
	err = box.View(context.Background(), func(tx *outbox.Tx) error {
		for m, err := range tx.Messages(context.Background(), outbox.Filter{}) {
			if err != nil {
				return err
			}
			uuids = append(uuids, m.UUID)
		}
		return nil
	})
	if err != nil || len(uuids) != 2 || !slices.IsSorted(uuids) {
		t.Errorf("%v, %v: want two uuids in the order of recording", uuids, err)
	}
}

func TestAConfigurationWithoutAPathIsAnErrorBeforeAnythingIsTouched(t *testing.T) {
	if _, err := outbox.New(outbox.Config{}); err == nil || !strings.Contains(err.Error(), "Path") {
		t.Errorf("the error is %v, want one that names what is missing", err)
	}
}

func TestTablesThatCannotBeNumberedAreAnErrorBeforeAnythingIsTouched(t *testing.T) {
	file := &fstest.MapFile{Data: []byte(`CREATE TABLE greetings (name TEXT)`)}
	for name, tables := range map[string]fstest.MapFS{
		"none at the top, as without fs.Sub": {"migrations/0001_greetings.sql": file},
		"a gap":                              {"0001_greetings.sql": file, "0003_more.sql": file},
		"no number":                          {"greetings.sql": file},
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
	b := newBench(t)
	_, err := b.box.Record(t.Context(), func(tx *outbox.Tx) error {
		defer tx.Rollback() // as is customary in Go
		if err := tx.Add(t.Context(), outbox.Message{Event: "ran", AnonID: "anon"}); err != nil {
			return err
		}
		if err := tx.Commit(); err == nil {
			t.Error("Commit says that it has committed; what an error of the function undoes would not be undone")
		}
		return nil
	})
	if n := b.counts().Pending; err != nil || n != 1 {
		t.Errorf("Record returns %v, %d events wait; want the one, which a habit must not lose", err, n)
	}
}

func TestNoFunctionIsAnErrorAndNoPanic(t *testing.T) {
	b := newBench(t)
	b.recordOne()
	_, recorded := b.box.Record(t.Context(), nil)
	for name, err := range map[string]error{
		"Record": recorded, "Update": b.box.Update(t.Context(), nil), "View": b.box.View(t.Context(), nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "give it a function") {
			t.Errorf("%s returns %v, want an error that says what to do", name, err)
		}
	}
	if n := b.counts().Pending; n != 1 {
		t.Errorf("%d events wait, want the one from before", n)
	}
}

func TestAUUIDIsGivenOnce(t *testing.T) {
	b := newBench(t)
	const id = "0190a3c0-0000-7000-8000-000000000001"
	for _, second := range []outbox.Message{
		{UUID: id, Event: "ran", AnonID: "other"}, {UUID: id, Kind: outbox.Alias, Event: "alias", AnonID: "anon", DistinctID: "person"},
	} {
		_, err := b.box.Record(t.Context(), func(tx *outbox.Tx) error {
			return errors.Join(tx.Add(t.Context(), outbox.Message{UUID: id, Event: "ran", AnonID: "anon"}), tx.Add(t.Context(), second))
		})
		if err == nil || !strings.Contains(err.Error(), "the queue has a message with its uuid") {
			t.Errorf("a second %s with one uuid: %v, want an error in words; a server would fold the two", second.Kind, err)
		}
	}
	if n := b.counts().Pending; n != 0 {
		t.Errorf("%d messages wait, want none: the error undoes all", n)
	}
}

func TestDoNotTrackIsHeededUnlessTheProgramsOwnSwitchIsOn(t *testing.T) {
	for _, test := range []struct {
		value   string
		consent outbox.Override
		want    error
	}{
		{"1", outbox.NoOverride, outbox.ErrOff},
		{"yes", outbox.NoOverride, outbox.ErrOff},
		{" OFF ", outbox.NoOverride, nil},
		{"0", outbox.NoOverride, nil},
		{"1", outbox.ForceOn, nil},
		{"0", outbox.ForceOff, outbox.ErrOff},
	} {
		t.Setenv("DO_NOT_TRACK", test.value)
		dir := t.TempDir()
		box, err := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Consent: test.consent})
		if err != nil {
			t.Fatal(err)
		}
		_, err = box.Record(context.Background(), adding(outbox.Message{Event: "ran", AnonID: "somebody"}))
		if !errors.Is(err, test.want) {
			t.Errorf("with DO_NOT_TRACK=%q and %v recording gives %v, want %v", test.value, test.consent, err, test.want)
		}
		if entries, _ := os.ReadDir(dir); test.want != nil && len(entries) > 0 {
			t.Errorf("with tracking off %v was created", entries)
		}
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}
}

// greetings is the table of an embedder.
func greetings(cfg *outbox.Config) {
	cfg.Tables = fstest.MapFS{"0001_greetings.sql": {Data: []byte(`CREATE TABLE greetings (name TEXT NOT NULL) STRICT;`)}}
}

func TestAMessageAndTheEmbeddersChangeAreCommittedTogetherOrNotAtAll(t *testing.T) {
	b := newBench(t)
	box := b.open(greetings)
	greet := func(fail error) func(tx *outbox.Tx) error {
		return func(tx *outbox.Tx) error {
			if _, err := tx.Exec(`INSERT INTO greetings (name) VALUES ('Ada')`); err != nil {
				return err
			}
			if err := tx.Add(context.Background(), b.event(1)); err != nil {
				return err
			}
			return fail
		}
	}
	boom := errors.New("boom")
	if _, err := box.Record(context.Background(), greet(boom)); !errors.Is(err, boom) {
		t.Errorf("the error is %v, want the caller's own", err)
	}
	if _, err := box.Record(context.Background(), greet(nil)); err != nil {
		t.Fatal(err)
	}
	var greeted, waiting int
	err := box.View(context.Background(), func(tx *outbox.Tx) error {
		return tx.QueryRow(`SELECT (SELECT count(*) FROM greetings), (SELECT count(*) FROM messages)`).Scan(&greeted, &waiting)
	})
	if err != nil || greeted != 1 || waiting != 1 {
		t.Errorf("%d rows and %d messages, %v; want one of each", greeted, waiting, err)
	}
}

// A foreign table, an index and statistics are no damage: today's delivery must not take them away.
func TestWhatOthersAddToTheDatabaseSurvivesADelivery(t *testing.T) {
	b := newBench(t)
	b.addEvents(2)
	b.exec(`CREATE TABLE notes (text TEXT)`)
	b.exec(`INSERT INTO notes VALUES ('kept')`)
	b.exec(`CREATE INDEX by_hand ON messages (event)`)
	b.exec(`ANALYZE`)
	b.mustFlush()
	b.exec(`INSERT INTO notes SELECT text FROM notes WHERE EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'by_hand')`)
	b.tx(func(tx *outbox.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM notes`).Scan(&n); err != nil || n != 2 {
			t.Errorf("%d notes, %v; want both", n, err)
		}
		return nil
	})
}

func TestWhatFollowsACommitRunsUnderTheLockAndUndoesNothing(t *testing.T) {
	b := newBench(t)
	boom := errors.New("boom")
	r, err := b.box.Record(context.Background(), func(tx *outbox.Tx) error {
		tx.AfterCommit(func() error {
			if c := b.pendingSeenFromOutside(); c != 1 {
				t.Errorf("%d messages are committed when the export runs, want 1", c)
			}
			return boom
		})
		return tx.Add(context.Background(), b.event(1))
	})
	if err != nil || !errors.Is(r.Trouble, boom) {
		t.Errorf("%v, %v: want the event recorded, and the trouble told", r, err)
	}
}

func (b *bench) pendingSeenFromOutside() (n int) {
	err := b.open().View(context.Background(), func(tx *outbox.Tx) error {
		c, err := tx.Counts(context.Background())
		n = c.Pending
		return err
	})
	if err != nil {
		b.Error(err)
	}
	return n
}

func TestAContextEndsTheWaitForTheLock(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	holding, release := make(chan bool), make(chan bool)
	done := make(chan error)
	go func() {
		done <- b.open().Update(context.Background(), func(*outbox.Tx) error {
			close(holding)
			<-release
			return nil
		})
	}()
	<-holding
	box := b.open(func(cfg *outbox.Config) { cfg.LockWait = time.Hour })
	for name, wait := range map[string]func(ctx context.Context) error{
		"record":  func(ctx context.Context) error { _, err := box.Record(ctx, adding(b.event(1))); return err },
		"flush":   func(ctx context.Context) error { _, err := box.Flush(ctx, outbox.FlushOptions{}); return err },
		"disable": func(ctx context.Context) error { _, err := box.Disable(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if err := wait(ctx); err == nil {
			t.Errorf("%s ended well while another process had the lock, want it to end with its context", name)
		}
		cancel()
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestASteadyStreamOfHeldMessagesHoldsUpNothing(t *testing.T) {
	b := newBench(t)
	held := b.event(1)
	held.DistinctID, held.Hold = "", "credential"
	b.add(held)
	asked := 0
	// With each request another one comes.
	b.points = func(name string) {
		if name == "claimed" && len(b.messages(outbox.Filter{})) < 20 {
			next := b.event(1)
			next.DistinctID, next.Hold = "", "credential"
			b.add(next)
		}
	}
	_, err := b.flush(func(cfg *outbox.Config) {
		cfg.Resolve = func(context.Context, *outbox.Outbox, []string) error { asked++; return nil }
	})
	if err != nil || asked != 1 {
		t.Errorf("asked %d times, %v; want once in a run", asked, err)
	}
	if n := len(b.server.Events()); n != 20 {
		t.Errorf("%d of 20 messages were delivered", n)
	}
}

func TestAHomeThatComesFromAnotherMachineLeavesItsHeldMessagesToNobody(t *testing.T) {
	b := newBench(t)
	event, alias := b.event(1), b.alias()
	event.DistinctID, event.Hold = "", "credential"
	alias.DistinctID = ""
	b.add(event, alias, b.event(2))
	b.exec(`UPDATE machines SET mark = 'salt:another'`)
	moved := 0
	_, err := b.open(func(cfg *outbox.Config) {
		cfg.Moved = func(context.Context, *outbox.Tx) error { moved++; return nil }
	}).Record(context.Background(), adding(b.event(3)))
	if err != nil {
		t.Fatal(err)
	}
	if moved != 1 && outbox.HasMachineID() {
		t.Errorf("the embedder was told %d times, want once", moved)
	}
	if !outbox.HasMachineID() {
		t.Skip("this system has no id of its machine")
	}
	for _, m := range b.messages(outbox.Filter{}) {
		if m.Kind == outbox.Alias || m.DistinctID == "" {
			t.Errorf("%+v still waits: the other machine may decide it otherwise", m)
		}
	}
	if _, err := b.open(func(cfg *outbox.Config) {
		cfg.Moved = func(context.Context, *outbox.Tx) error { moved++; return nil }
	}).Record(context.Background(), adding(b.event(4))); err != nil || moved != 1 {
		t.Errorf("told %d times in all, %v: the database is at home here now", moved, err)
	}
}

func TestAFiftyFirstMachineTakesThePlaceOfTheOneLongestUnseen(t *testing.T) {
	if !outbox.HasMachineID() {
		t.Skip("this system has no id of its machine")
	}
	b := newBench(t)
	b.add(b.event(1))
	known := "DELETE FROM machines;" // in one transaction: each one makes this machine known
	for n := range 50 {              // the seventh was seen last a year ago, the others lately
		at := b.clock.Now().Add(-time.Duration(n) * time.Hour)
		if n == 7 {
			at = at.AddDate(-1, 0, 0)
		}
		known += fmt.Sprintf(`INSERT INTO machines (mark, seen_at) VALUES ('salt:%d', %d);`, n, at.UnixMilli())
	}
	b.exec(known)
	b.add(b.event(2))
	var all, others, oldest int
	b.tx(func(tx *outbox.Tx) error {
		return tx.QueryRow(`SELECT count(*), count(*) FILTER (WHERE mark LIKE 'salt:%'), count(*) FILTER (WHERE mark = 'salt:7')
			FROM machines`).Scan(&all, &others, &oldest)
	})
	if all != 50 || others != 49 || oldest != 0 {
		t.Errorf("%d machines are known, %d of the earlier 50 and %d of them the one longest unseen; want 50, 49 and 0", all, others, oldest)
	}
}

func TestAMessageThatTheSinkCanNeverSendIsRefusedWhenItIsAdded(t *testing.T) {
	b := newBench(t)
	long := func(n int) outbox.Message {
		return outbox.Message{Event: "ran", AnonID: "anon", Properties: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", n))}
	}
	if _, err := b.box.Record(t.Context(), adding(long(100_000))); err != nil {
		t.Errorf("a message that PostHog takes: %v", err)
	}
	_, err := b.box.Record(t.Context(), adding(long(600_000)))
	var unsendable *outbox.Unsendable
	if !errors.As(err, &unsendable) {
		t.Errorf("a message that no request carries: %v, want an Unsendable; it would wait, and be found dead later", err)
	}
	held := long(600_000)
	held.Hold = "credential"
	if _, err := b.box.Record(t.Context(), adding(held)); !errors.As(err, &unsendable) {
		t.Errorf("a held one: %v, want an Unsendable", err)
	}
	named := outbox.Message{Event: strings.Repeat("ran", 200_000), AnonID: "anon"}
	if _, err := b.box.Record(t.Context(), adding(named)); !errors.As(err, &unsendable) {
		t.Errorf("one with a long name: %v, want an Unsendable", err)
	}
	if n := b.counts().Pending; n != 1 {
		t.Errorf("%d messages wait, want the one that can be sent", n)
	}
	keeping := b.open(func(cfg *outbox.Config) { cfg.Sink = nil })
	if _, err := keeping.Record(t.Context(), adding(long(600_000))); err != nil {
		t.Errorf("without a sink, which could say so: %v", err)
	}
}
