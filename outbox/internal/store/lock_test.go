package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func TestALockIsOnePersonsAtATimeAndAskingForItMakesNoFile(t *testing.T) {
	b := newBench(t)
	if store.IsLocked(b.path+".lock") || len(b.files()) > 0 {
		t.Errorf("a lock that nobody ever took looks held, or asking made %v", b.files())
	}
	b.must(store.CreateFile(b.path + ".lock"))
	for range 2 {
		lock := b.hold()
		_, err := store.Lock(t.Context(), b.path+".lock", 0)
		b.meets(err, store.ErrLocked, "locking a second time")
		if !store.IsLocked(b.path + ".lock") {
			t.Error("a lock that is held looks free")
		}
		lock.Close()
		if store.IsLocked(b.path + ".lock") {
			t.Error("a lock that was released looks held")
		}
	}
}

func TestAWaitThatIsGivenUpTakesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		wait, cancel time.Duration
		want         error
	}{
		"when its time is over": {20 * time.Millisecond, time.Hour, store.ErrLocked},
		"when its context ends": {time.Hour, 20 * time.Millisecond, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.must(store.CreateFile(b.path + ".lock"))
			lock := b.hold()
			ctx, cancel := context.WithTimeout(context.Background(), test.cancel)
			defer cancel()
			_, err := store.Lock(ctx, b.path+".lock", test.wait)
			b.meets(err, test.want, "waiting behind a holder that does nothing")
			lock.Close()
			for range 1000 { // meanwhile the abandoned wait is granted the lock, and must give it back at once
				b.hold().Close()
			}
		})
	}
}

func TestAProgramThatKeepsTheDatabaseLockedIsToldAndWaitedForOnce(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.leave()
	shell := b.shell(`BEGIN IMMEDIATE`)
	const first = time.Second
	began := time.Now()
	for i, wait := range []time.Duration{first, time.Hour, time.Hour} {
		b.meets(write(b.open(store.Config{BusyWait: wait}), note("b")), store.ErrLocked, "writing meanwhile")
		if took := time.Since(began); i == 0 && took < first-100*time.Millisecond {
			t.Errorf("it was waited for %s, want %s: most programs let go of it", took, first)
		}
	}
	_, err := shell.Exec(`ROLLBACK`)
	b.must(err)
	b.write(note("b"))
}

// Those who give up commit without the lock. That is no sign that its holder goes on, neither to those who wait beside them nor
// to those who come later: the wait is noted before the commit.
func TestAStoppedProcessIsWaitedForOnceAlsoByManyAtOnce(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.hold()
	const first = 500 * time.Millisecond
	var crowd sync.WaitGroup
	began := time.Now()
	for i := range 3 {
		s := b.open(store.Config{LockWait: first + time.Duration(i)*first/2}) // one gives up while the others still wait
		later := b.open(store.Config{LockWait: time.Hour})
		crowd.Go(func() {
			for j, s := range []*store.Store{s, later, later} {
				err := store.ErrLocked
				for errors.Is(err, store.ErrLocked) { // by another of the crowd, for which SQLite waits only briefly
					err = write(s, func(tx *sql.Tx) error { return errors.Join(b.isNoted(), note(fmt.Sprint(i, j))(tx)) })
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	crowd.Wait()
	if took := time.Since(began); took < first {
		t.Errorf("no process has waited: %s", took)
	}
	b.holds(10) // SQLite's own locking does
}

// isNoted returns an error unless it is noted that a wait was in vain: each command would pay for the one that is stopped.
func (b *bench) isNoted() error {
	lock, err := os.Stat(b.path + ".lock")
	if err == nil && !lock.ModTime().After(time.Now()) {
		return errors.New("no wait in vain is noted")
	}
	return err
}

// A crowd on a busy machine can keep a process from its turn for longer than it waits. That is no sign of a stopped process: a
// short wait for the next ones would cost the events of the whole crowd.
func TestACrowdThatCommitsIsNotTakenForAStoppedProcess(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.hold()
	later := time.Now().Add(time.Hour)
	b.must(os.Chtimes(b.path, later, later)) // as when others commit all the time
	waiting := b.open(store.Config{LockWait: 1})
	b.must(write(waiting, note("b")))
	b.must(os.Chtimes(b.path, time.Time{}, time.Now()))
	b.must(write(waiting, note("c"))) // its second transaction does not wait, and cannot see that others commit
	if b.isNoted() == nil {
		t.Error("the next commands wait only briefly, though others have committed all the time")
	}
}

// A command that its user has ended waits so briefly.
func TestABriefWaitIsNoSignOfAStoppedProcess(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.hold()
	b.must(write(b.open(store.Config{LockWait: 250 * time.Millisecond, BusyWait: 250 * time.Millisecond}), note("b")))
	if b.isNoted() == nil {
		t.Error("the next commands wait only briefly, though this one has hardly waited")
	}
}

func TestADatabaseIsWaitedForAsLongAsOthersCommit(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	waiting := b.open(store.Config{BusyWait: 10 * time.Millisecond, LockWait: time.Hour})
	b.must(waiting.Locked(context.Background(), func() error {
		later := time.Now().Add(time.Hour)
		b.must(os.Chtimes(b.path, later, later)) // as when another process has just committed
		shell := b.shell(`BEGIN IMMEDIATE`)
		time.AfterFunc(500*time.Millisecond, func() { shell.Exec(`ROLLBACK`) })
		return write(waiting, note("b"))
	}))
}

// noteVain notes that a wait was in vain, as a process does that gives up.
func (b *bench) noteVain() {
	b.Helper()
	until := time.Now().Add(50 * time.Second)
	b.must(os.Chtimes(b.path+".lock", until, until))
}

// Once a process has written with the lock, it is worth waiting for again.
func TestAWaitThatWasInVainIsForgottenWithTheNextCommit(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.noteVain()
	b.must(b.s.Locked(context.Background(), func() error { return nil })) // it commits nothing
	b.must(b.isNoted())
	b.write(note("b"))
	if b.isNoted() == nil {
		t.Error("the next commands wait only briefly, though a process has committed since")
	}
}
