package outbox_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

var errInjected = errors.New("injected")

// faults is a driver of database/sql: SQLite's, one of whose statements fails. A commit counts as one.
type faults struct {
	driver.Driver
	count  int // statements since it was armed
	failAt int // 0: none
}

func (f *faults) Open(name string) (driver.Conn, error) {
	conn, err := f.Driver.Open(name)
	return &faultyConn{conn, f}, err
}

func (f *faults) arm(failAt int) { f.count, f.failAt = 0, failAt }

func (f *faults) next() error {
	if f.count++; f.count == f.failAt {
		return errInjected
	}
	return nil
}

type faultyConn struct {
	driver.Conn
	faults *faults
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.faults.next(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.faults.next(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *faultyConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
	return faultyTx{tx, c.faults}, err
}

type faultyTx struct {
	driver.Tx
	faults *faults
}

func (t faultyTx) Commit() error {
	if err := t.faults.next(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Tx.Commit()
}

// registered is the driver, which can be registered once in a process.
var registered = sync.OnceValue(func() *faults {
	db, err := sql.Open("sqlite", "")
	if err != nil {
		panic(err)
	}
	f := &faults{Driver: db.Driver()}
	sql.Register("sqlite with faults", f)
	return f
})

// Each statement of each operation fails in turn. The error has to be told, or nothing may be missing for it: an error that is
// swallowed would deliver twice, or lose a message. A transaction is undone whole.
func TestAStatementThatFailsIsToldAndUndone(t *testing.T) {
	driver := registered()
	record := func(change func(tx *outbox.Tx) error) func(context.Context, *outbox.Outbox) error {
		return func(ctx context.Context, box *outbox.Outbox) error {
			_, err := box.Record(ctx, change)
			return err
		}
	}
	deliver := func(ctx context.Context, box *outbox.Outbox) error {
		_, err := box.Deliver(ctx, 0, nil)
		return err
	}
	answers := func(answer func(outbox.Request) outbox.Answer) func(*outbox.Config) {
		return func(cfg *outbox.Config) { cfg.Sink = &scripted{endpoint: "here", answer: answer} }
	}
	always := func(a outbox.Answer) func(*outbox.Config) {
		return answers(func(outbox.Request) outbox.Answer { return a })
	}
	held := func(b *bench) {
		alias := b.alias()
		alias.DistinctID = ""
		event := b.event(1)
		event.DistinctID, event.Hold = "", "key"
		b.add(alias, event, b.event(2))
	}
	old := func(state string) func(*bench) {
		return func(b *bench) {
			b.addEvents(1100)
			b.exec(`UPDATE messages SET state = ?, settled_at = 1`, state)
			b.addEvents(3)
		}
	}
	tests := map[string]struct {
		before func(b *bench)
		config func(*outbox.Config)
		run    func(ctx context.Context, box *outbox.Outbox) error
		rounds bool // several transactions: each is undone, not all of them
	}{
		"recording": {run: record(func(tx *outbox.Tx) error {
			_, err := tx.InstallID(context.Background())
			return errors.Join(err, tx.Add(context.Background(), outbox.Message{UUID: fixedUUID, Event: "ran", AnonID: anonA, Hold: "key"}))
		})},
		"recording behind a full queue": {
			before: func(b *bench) {
				b.exec(`INSERT INTO sqlite_sequence VALUES ('messages', 200000)`)
				b.fill(100_001, b.clock.Now())
			},
			run: record(func(tx *outbox.Tx) error {
				return tx.Add(context.Background(), outbox.Message{UUID: fixedUUID, Event: "ran", AnonID: anonA})
			}),
		},
		"a decision and a withdrawal": {before: held, run: record(func(tx *outbox.Tx) error {
			ctx := context.Background()
			if err := tx.Decide(ctx, outbox.Held{Kind: outbox.Capture}, "ada"); err != nil {
				return err
			}
			return tx.Withdraw(ctx, outbox.Held{Kind: outbox.Alias})
		})},
		"a retry": {before: old("dead"), run: record(func(tx *outbox.Tx) error {
			_, err := tx.Retry(context.Background(), nil)
			return err
		})},
		"a look": {before: held, run: func(ctx context.Context, box *outbox.Outbox) error {
			return box.View(ctx, func(tx *outbox.Tx) error {
				if _, err := tx.Counts(ctx); err != nil {
					return err
				}
				for _, err := range tx.Messages(ctx, outbox.Filter{}) {
					if err != nil {
						return err
					}
				}
				return nil
			})
		}},
		"clearing": {before: held, run: func(ctx context.Context, box *outbox.Outbox) error {
			_, err := box.Clear(ctx, nil)
			return err
		}, rounds: true},
		"forgetting": {before: held, run: func(ctx context.Context, box *outbox.Outbox) error {
			_, err := box.Forget(ctx, nil)
			return err
		}, rounds: true},
		"receipts over their cap": {before: old("delivered"), config: always(all(accepted)), run: deliver, rounds: true},
		"dead ones over their cap": {
			before: old("dead"), config: answers(each(func(int) outbox.Verdict { return refused })), run: deliver, rounds: true,
		},
		"held messages": {before: held, run: deliver, rounds: true, config: func(cfg *outbox.Config) {
			always(all(accepted))(cfg)
			cfg.Resolve = func(context.Context, *outbox.Outbox, []string) error { return nil }
			cfg.Released = func(ctx context.Context, tx *outbox.Tx, _ string) error {
				_, err := tx.ExecContext(ctx, `UPDATE delivery SET erased = 7`)
				return err
			}
		}},
		"a back-off":      {before: func(b *bench) { b.addEvents(2) }, config: always(all(again)), run: deliver, rounds: true},
		"a smaller batch": {before: func(b *bench) { b.addEvents(2) }, config: always(fewer(outbox.CodeRefused)), run: deliver, rounds: true},
		"a flush that has to wait": {
			before: func(b *bench) {
				b.addEvents(2)
				b.exec(`UPDATE delivery SET not_before = ?, failures = 1`, b.clock.Now().Add(time.Second).UnixMilli())
			},
			config: always(all(accepted)), run: deliver,
		},
		"housekeeping": {
			before: func(b *bench) {
				b.fill(3, b.clock.Now().Add(-100*24*time.Hour))
				b.exec(`UPDATE delivery SET housekept_at = ?`, b.clock.Now().Add(-48*time.Hour).UnixMilli())
			},
			config: always(all(again)), run: deliver, rounds: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			template := newBench(t)
			template.add(template.event(0))
			template.exec(`DELETE FROM messages`)
			if test.before != nil {
				test.before(template)
			}
			if err := template.box.Close(); err != nil { // moves the WAL into the file
				t.Fatal(err)
			}
			content, err := os.ReadFile(template.path)
			if err != nil {
				t.Fatal(err)
			}
			// once returns what is in a copy of the database before and after, and how many statements there were.
			once := func(failAt int) (before, after string, statements int, err error) {
				b := &bench{T: t, clock: template.clock, path: filepath.Join(t.TempDir(), "usage.db"), server: template.server}
				if err := os.WriteFile(b.path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				before = b.dump()
				box := b.open(func(cfg *outbox.Config) {
					if test.config != nil {
						test.config(cfg)
					}
					outbox.WithDriver(cfg, "sqlite with faults")
				})
				driver.arm(0)
				if err := box.Update(t.Context(), func(*outbox.Tx) error { return nil }); err != nil { // opens it
					t.Fatal(err)
				}
				driver.arm(failAt)
				err = test.run(t.Context(), box)
				statements = driver.count
				driver.arm(0)
				return before, b.dump(), statements, err
			}
			_, want, statements, wantErr := once(0)
			if statements < 2 {
				t.Fatalf("only %d statements were counted: the driver is not used", statements)
			}
			for failAt := 1; failAt <= statements; failAt++ {
				before, after, _, err := once(failAt)
				switch told := errors.Is(err, errInjected); {
				case !told && (after != want || fmt.Sprint(err) != fmt.Sprint(wantErr)):
					t.Errorf("statement %d of %d fails, and the operation returns %v with\n%s\nwant the error, or\n%s", failAt, statements, err, after, want)
				case told && !test.rounds && after != before:
					t.Errorf("statement %d of %d fails, and left\n%s\nof\n%s", failAt, statements, after, before)
				}
			}
		})
	}
}

const fixedUUID = "33333333-3333-4333-8333-333333333333"

// dump is what is in the tables that matter, without the order of random ids. Of a long queue the ends say enough.
func (b *bench) dump() string {
	b.Helper()
	db, err := sql.Open("sqlite", b.path)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var lines []string
	for _, query := range []string{
		`SELECT 'messages', count(*), min(seq), max(seq) FROM messages`,
		`SELECT state, kind, count(*), count(distinct_id), count(hold), sum(attempts), sum(refused_alone), count(settled_at) FROM messages GROUP BY state, kind`,
		`SELECT failures, not_before > 0, last_code, dropped, erased, endpoint, accepted_at > 0, batch_size, waiting_until > 0, install_id <> '', housekept_at FROM delivery`,
	} {
		rows, err := db.Query(query)
		if err != nil {
			b.Fatal(err)
		}
		columns, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				b.Fatal(err)
			}
			var line []string
			for _, value := range values {
				line = append(line, fmt.Sprint(*value.(*any)))
			}
			lines = append(lines, strings.Join(line, " "))
		}
		if err := rows.Err(); err != nil {
			b.Fatal(err)
		}
	}
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n")
}
