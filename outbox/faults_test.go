package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// faults makes one statement of a database fail.
type faults struct {
	path   atomic.Pointer[string] // of the database
	count  atomic.Int64           // statements, and parts of them, since it was armed
	failAt atomic.Int64           // 0: none
}

func (f *faults) arm(failAt int) {
	f.count.Store(0)
	f.failAt.Store(int64(failAt))
}

// faulty returns the faults of this process. SQLite asks its authorizer whenever it prepares a statement; the hook for that is
// the driver's, so it is set once.
var faulty = sync.OnceValue(func() *faults {
	f := &faults{}
	authorize := func(action sqlite.AuthorizerActionCode, first, _, _, _ string) sqlite.AuthorizerReturnCode {
		switch action {
		case sqlite.AuthSelect, sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete, sqlite.AuthTransaction:
			if f.count.Add(1) == f.failAt.Load() && first != "ROLLBACK" {
				return sqlite.AuthorizerDeny
			}
		}
		return sqlite.AuthorizerOK
	}
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, address string) error {
		if path := f.path.Load(); path == nil || !strings.Contains(address, url.PathEscape(*path)) {
			return nil
		}
		return conn.(sqlite.AuthorizerRegisterer).RegisterAuthorizer(authorize)
	})
	return f
})

// Each statement of each operation fails in turn. The error has to be told, or nothing may be missing for it: an error that is
// swallowed would deliver twice, or lose a message. A transaction is undone whole.
func TestAStatementThatFailsIsToldAndUndone(t *testing.T) {
	ctx := t.Context()
	ran := outbox.Message{UUID: "33333333-3333-4333-8333-333333333333", Event: "ran", AnonID: anonA}
	held := func(b *bench) { b.add(b.alias(""), b.held("key"), b.event(2)) }
	two := func(b *bench) { b.addEvents(2) }
	old := func(state string) func(*bench) {
		return func(b *bench) {
			b.addEvents(1100)
			b.exec(`UPDATE messages SET state = ?, settled_at = 1`, state)
			b.addEvents(3)
		}
	}
	for name, test := range map[string]operation{
		"recording": {change: func(tx *outbox.Tx) error {
			_, err := tx.InstallID(ctx)
			held := ran
			held.Hold = "key"
			return errors.Join(err, tx.Add(ctx, held))
		}},
		"recording behind a full queue": {
			before: func(b *bench) {
				b.exec(`INSERT INTO sqlite_sequence VALUES ('messages', 200000)`)
				b.fill(100_001, b.clock.Now())
			},
			change: func(tx *outbox.Tx) error { return tx.Add(ctx, ran) },
		},
		"a decision and a withdrawal": {before: held, change: func(tx *outbox.Tx) error {
			if err := tx.Decide(ctx, outbox.Held{Kind: outbox.Capture}, "ada"); err != nil {
				return err
			}
			return tx.Withdraw(ctx, outbox.Held{Kind: outbox.Alias})
		}},
		"a retry": {before: old("dead"), change: func(tx *outbox.Tx) error {
			_, err := tx.Retry(ctx, nil)
			return err
		}},
		"a look": {before: held, run: func(box *outbox.Outbox) error {
			seen := 0
			err := box.View(ctx, func(tx *outbox.Tx) error {
				_, err := tx.Counts(ctx)
				for _, fault := range tx.Messages(ctx, outbox.Filter{}) {
					seen++
					err = errors.Join(err, fault)
				}
				return err
			})
			return fmt.Errorf("%v, and %d messages were seen", err, seen)
		}},
		"erasing": {before: held, run: func(box *outbox.Outbox) error {
			_, err := box.Forget(ctx, nil)
			return err
		}},
		"receipts over their cap":  {before: old("delivered"), config: through(always(accepted))},
		"dead ones over their cap": {before: old("dead"), config: through(refusing())},
		"held messages": {before: held, config: func(cfg *outbox.Config) {
			cfg.Sink = always(accepted)
			cfg.Resolve = func(context.Context, *outbox.Outbox, []string) error { return nil }
			cfg.Released = func(ctx context.Context, tx *outbox.Tx, _ string) error {
				_, err := tx.ExecContext(ctx, `UPDATE delivery SET erased = 7`)
				return err
			}
		}},
		"a back-off":      {before: two, config: through(always(again))},
		"a smaller batch": {before: two, config: through(answering(fewer(outbox.CodeRefused)))},
		"a flush that has to wait": {config: through(always(accepted)), before: func(b *bench) {
			two(b)
			b.exec(`UPDATE delivery SET not_before = ?, failures = 1`, b.clock.Now().Add(time.Second).UnixMilli())
		}},
		"housekeeping": {config: through(always(again)), before: func(b *bench) {
			b.fill(3, b.clock.Now().Add(-100*24*time.Hour))
			b.exec(`UPDATE delivery SET housekept_at = ?`, b.clock.Now().Add(-48*time.Hour).UnixMilli())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			template := newBench(t, 0)
			template.add(template.event(0))
			template.exec(`DELETE FROM messages`)
			if test.before != nil {
				test.before(template)
			}
			template.must(template.box.Close()) // moves the WAL into the file
			content, err := os.ReadFile(template.path)
			template.must(err)
			before := template.dump() + "\n0 requests"
			want, statements, wantErr := test.once(template, content, 0)
			if statements < 2 {
				t.Fatalf("only %d statements were counted: nothing can fail", statements)
			}
			for failAt := 1; failAt <= statements; failAt++ {
				after, _, err := test.once(template, content, failAt)
				isTold := err != nil && strings.Contains(err.Error(), "not authorized") // SQLite's words for it
				switch {
				case !isTold && (after != want || fmt.Sprint(err) != fmt.Sprint(wantErr)):
					t.Errorf("statement %d of %d fails, and the operation returns %v with\n%s\nwant the error, or\n%s",
						failAt, statements, err, after, want)
				case isTold && test.change != nil && after != before:
					t.Errorf("statement %d of %d fails, and left\n%s\nof\n%s", failAt, statements, after, before)
				}
			}
		})
	}
}

// operation is done to a database in which one statement fails.
type operation struct {
	before func(b *bench) // what it finds
	config func(*outbox.Config)
	change func(tx *outbox.Tx) error      // in one Record
	run    func(box *outbox.Outbox) error // in several transactions, each of which is undone; neither: a delivery
}

// once returns what is in a copy of the database afterwards, how often it was sent, and how many statements there were.
func (o operation) once(template *bench, content []byte, failAt int) (after string, statements int, err error) {
	b := &bench{TB: template, clock: template.clock, path: filepath.Join(template.TempDir(), "usage.db"), server: template.server}
	b.must(os.WriteFile(b.path, content, 0o600))
	requests := 0
	b.points = func(name string) {
		if name == "before-request" {
			requests++
		}
	}
	fault := faulty()
	fault.path.Store(&b.path)
	defer fault.path.Store(nil)
	var changes []func(*outbox.Config)
	if o.config != nil {
		changes = append(changes, o.config)
	}
	box := b.open(changes...)
	b.must(box.Update(b.Context(), func(*outbox.Tx) error { return nil })) // opens it
	fault.arm(failAt)
	switch {
	case o.change != nil:
		_, err = box.Record(b.Context(), o.change)
	case o.run != nil:
		err = o.run(box)
	default:
		_, err = box.Deliver(b.Context(), 0)
	}
	statements = int(fault.count.Load())
	fault.arm(0)
	return fmt.Sprintf("%s\n%d requests", b.dump(), requests), statements, err
}

// dump is what is in the tables that matter, without the order of random ids. Of a long queue the ends say enough.
func (b *bench) dump() (all string) {
	b.Helper()
	db, err := sql.Open("sqlite", b.path)
	b.must(err)
	defer db.Close()
	b.must(db.QueryRow(`SELECT json_array(failures, not_before > 0, last_code, dropped, erased, endpoint, accepted_at > 0, batch_size,
		waiting_until > 0, install_id <> '', housekept_at, (SELECT json_array(count(*), min(seq), max(seq)) FROM messages),
		(SELECT group_concat(one) FROM (SELECT json_array(state, kind, count(*), count(distinct_id), count(hold), sum(attempts),
			sum(refused_alone), count(settled_at)) AS one FROM messages GROUP BY state, kind ORDER BY state, kind)))
		FROM delivery`).Scan(&all))
	return all
}
