package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// edit changes the database's first page, which holds its header and its schema, as it lies on
// disk when everything is in it.
func (b *bench) edit(change func(page []byte)) {
	b.Helper()
	b.leave()
	content, err := os.ReadFile(b.path)
	if err != nil {
		b.Fatal(err)
	}
	change(content[:4096])
	if err := os.WriteFile(b.path, content, 0o600); err != nil {
		b.Fatal(err)
	}
}

// flip flips the lowest bit of the first byte after the first place of a text.
func flip(text string) func(page []byte) {
	return func(page []byte) {
		at := bytes.Index(page, []byte(text))
		if at < 0 {
			panic(text + " is not in the schema")
		}
		page[at+len(text)] ^= 1
	}
}

func setByte(at int, value byte) func(page []byte) {
	return func(page []byte) { page[at] = value }
}

func setVersion(v uint32) func(page []byte) {
	return func(page []byte) { binary.BigEndian.PutUint32(page[60:], v) }
}

// The statements are constants and tested against the migrations: when SQLite does not
// understand one, the schema is not what it was.
func TestADamagedSchemaCostsNoMessageAndNoIdentity(t *testing.T) {
	for name, damage := range map[string]func(page []byte){
		"a table's name":                   flip("CREATE TABLE mes"),
		"a table's name beside its schema": flip("tablemes"),
		"a column's name":                  flip("(\n  seq         INTEGER PRIMARY KEY AUTOINCREMENT,\n  uui"),
		"a column of another table":        flip("  failure"),
		"a keyword":                        flip("TEXT NOT NULL UNI"),
		"a condition":                      flip("kind IN ('cap"),
		"a default":                        flip("DEFAULT 'pen"),
		"the condition of an index":        flip("(anon_id) WHERE kind = 'al"),
		"the name of the sequence":         flip("CREATE TABLE sqlite_seq"),
		"a smaller version":                setVersion(0),
		"a negative version":               setVersion(1<<31 + 1),
		"a larger version":                 setVersion(1<<16 + 1),
		"the format of the schema":         setByte(47, 132),
		"the format for writers":           setByte(18, 66),
		"the format for readers":           setByte(19, 66),
		"the text encoding":                setByte(59, 3),
		"the page size":                    setByte(16, 0x11),
		"the number of pages":              setByte(31, 3),
		"the magic word":                   setByte(0, 's'),
		"the kind of the page":             setByte(100, 12),
		"the number of tables":             setByte(104, 0),
		"all of it":                        func(page []byte) { copy(page, bytes.Repeat([]byte{0xAB}, len(page))) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(20)
			b.exec(`INSERT INTO identities (anon_id, created_at) VALUES ('` + anonA + `', 1)`)
			b.edit(damage)
			b.add(b.event(-1))
			var anon string
			b.tx(func(tx *sql.Tx) error { return tx.QueryRow(`SELECT anon_id FROM identities`).Scan(&anon) })
			if c := b.counts(); c.Pending != 21 || anon != anonA {
				t.Errorf("%d messages wait and the machine is %q, want 21 and %s: the rows were whole", c.Pending, anon, anonA)
			}
			b.isSound()
			b.leave()
			b.mustFlush()
			if n := len(b.server.Events()); n != 21 {
				t.Errorf("PostHog has %d events, want 21", n)
			}
			b.noViolations()
		})
	}
}

// A database of a newer version is told from one whose version is damaged by its schema.
func TestEachMigrationChangesTheSchema(t *testing.T) {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	before := ""
	for version := range migrations.Version() {
		if err := migrations.Apply(ctx, db, version, version+1, nil); err != nil {
			t.Fatal(err)
		}
		var after string
		if err := db.QueryRow(`SELECT group_concat(sql) FROM sqlite_schema`).Scan(&after); err != nil {
			t.Fatal(err)
		}
		if after == before {
			t.Errorf("migration %d changes no table and no index: an older binary would take the new version for a flipped bit", version+1)
		}
		before = after
	}
}

func (b *bench) isSound() {
	b.Helper()
	var checked string
	b.tx(func(tx *sql.Tx) error { return tx.QueryRow(`PRAGMA integrity_check`).Scan(&checked) })
	if checked != "ok" {
		b.Errorf("the database is not sound: %s", checked)
	}
}

// A WAL that was not moved into the database yet holds the newest messages.
func TestADamagedSchemaCostsNothingOfTheWAL(t *testing.T) {
	b := newBench(t)
	b.addEvents(3)
	b.leave()
	b.addEvents(4)
	wal, err := os.ReadFile(b.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	b.edit(flip("CREATE TABLE mes"))
	b.overwriteWith("-wal", wal)
	b.addEvents(1)
	if c := b.counts(); c.Pending != 8 {
		t.Errorf("%d messages wait, want the 3 of the database, the 4 of its WAL and the new one", c.Pending)
	}
}

// content is what the file of the database holds.
func (b *bench) content() []byte {
	b.Helper()
	content, err := os.ReadFile(b.path)
	if err != nil {
		b.Fatal(err)
	}
	return content
}

func (b *bench) overwriteWith(suffix string, content []byte) {
	b.Helper()
	if err := os.WriteFile(b.path+suffix, content, 0o600); err != nil {
		b.Fatal(err)
	}
}

// Whoever takes an error for damage throws receipts away each time, or somebody's database.
func TestWhatOnlyLooksLikeDamageIsLeftAlone(t *testing.T) {
	ctx := context.Background()
	twice := func(b *bench) func(tx *sql.Tx) error {
		m := b.event(1)
		return func(tx *sql.Tx) error { return errors.Join(outbox.AddTx(ctx, tx, m), outbox.AddTx(ctx, tx, m)) }
	}
	for name, fails := range map[string]func(b *bench) error{
		"a statement with a mistake": func(b *bench) error {
			return b.box.InTx(ctx, func(tx *sql.Tx) error { _, err := tx.Exec(`SELECT nothing FROM nowhere`); return err })
		},
		"a message that is there already": func(b *bench) error { return b.box.InTx(ctx, twice(b)) },
		"a command that was interrupted": func(b *bench) error {
			interrupted, cancel := context.WithCancel(ctx)
			return b.box.InTx(interrupted, func(tx *sql.Tx) error {
				cancel()
				return outbox.AddTx(interrupted, tx, b.event(1))
			})
		},
		"a disk that is full": func(b *bench) error {
			return b.box.InTx(ctx, func(tx *sql.Tx) error {
				var pages int
				if err := tx.QueryRow(`PRAGMA max_page_count = 1`).Scan(&pages); err != nil {
					return err
				}
				for range 1000 {
					if err := outbox.AddTx(ctx, tx, b.event(1)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(3)
			if err := fails(b); err == nil {
				t.Error("no error came back")
			}
			if aside := b.setAside(); len(aside) != 0 {
				t.Errorf("%v is set aside, and the database is sound", aside)
			}
			b.leave()
			b.addEvents(1)
			if c := b.counts(); c.Pending != 4 {
				t.Errorf("%d messages wait, want 4", c.Pending)
			}
		})
	}
}

func TestSomebodyElsesDatabaseIsLeftAlone(t *testing.T) {
	for name, statements := range map[string]string{
		"without a version":                   `CREATE TABLE letters (id INTEGER PRIMARY KEY AUTOINCREMENT, text)`,
		"with a table of the same name":       `CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, text)`,
		"with a version that is the same":     `CREATE TABLE letters (id INTEGER PRIMARY KEY AUTOINCREMENT, text); PRAGMA user_version = 1`,
		"with the same version and the names": `CREATE TABLE messages (text); CREATE TABLE delivery (id); PRAGMA user_version = 1`,
		"with another version":                `CREATE TABLE letters (text); PRAGMA user_version = 7`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			db, err := sql.Open("sqlite", b.path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(statements); err != nil {
				t.Fatal(err)
			}
			db.Close()
			before, _ := os.ReadFile(b.path)
			for range 2 {
				if err := b.box.InTx(context.Background(), b.adding(b.event(1))); err == nil {
					t.Error("an event was written into somebody else's database")
				}
				b.leave()
			}
			if after, _ := os.ReadFile(b.path); !bytes.Equal(before, after) {
				t.Error("somebody else's database was changed")
			}
			if aside := b.setAside(); len(aside) != 0 {
				t.Errorf("somebody else's database was moved to %v, which the next damage removes", aside)
			}
		})
	}
}
