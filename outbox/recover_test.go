package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// damage overwrites the page that holds the n-th event, which whoever reads all of them meets.
func (b *bench) damage(n int) {
	b.Helper()
	b.leave() // everything is in the database now
	content, err := os.ReadFile(b.path)
	if err != nil {
		b.Fatal(err)
	}
	at := bytes.Index(content, fmt.Appendf(nil, `{"n":%d}`, n))
	if at < 0 {
		b.Fatalf("the event %d is not in the database", n)
	}
	const page = 4096
	overwrite(int64(at-at%page), page)(b.T, b.path)
}

// leave ends the process that has recorded: Windows replaces no file that somebody has open.
func (b *bench) leave() {
	b.Helper()
	if err := b.box.Close(); err != nil {
		b.Fatal(err)
	}
}

func readAll(tx *sql.Tx) error {
	_, err := outbox.MessagesTx(context.Background(), tx, outbox.Filter{})
	return err
}

// setAside returns the names of the files that were set aside.
func (b *bench) setAside() (names []string) {
	b.Helper()
	entries, err := os.ReadDir(filepath.Dir(b.path))
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), ".corrupt-") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestAReplacementThatDiesHalfwayIsFinishedByTheNextProcess(t *testing.T) {
	for _, point := range []string{"migrated-1", "grafted", "salvaged", "set-aside"} {
		t.Run(point, func(t *testing.T) {
			if (point == "migrated-1" || point == "grafted") && runtime.GOOS == "windows" {
				t.Skip("a goroutine that dies leaves the new file open, a process does not, and Windows keeps open files")
			}
			b := newBench(t)
			b.addEvents(300)
			b.damage(150)
			b.points = func(name string) {
				if name == point {
					b.points = nil
					runtime.Goexit() // as far as files go, what a kill does
				}
			}
			died := make(chan struct{})
			go func() {
				defer close(died)
				_ = b.open().InTx(context.Background(), readAll)
			}()
			<-died
			if b.points != nil {
				t.Fatal("the point was never reached")
			}
			b.box = b.open()
			b.tx(readAll)
			if n := b.counts().Pending; n < 270 || n == 300 {
				t.Errorf("%d of 300 messages are left after a process died at %s, want all but those of the damaged page", n, point)
			}
			b.isSound()
			for _, name := range b.setAside() {
				if strings.Contains(name, "copy") {
					t.Errorf("%s is left of a process that died at %s, and nobody would ever remove it", name, point)
				}
			}
		})
	}
}

func TestOneCopyOfACorruptDatabaseIsKeptAndErasedWithTheRest(t *testing.T) {
	b := newBench(t)
	for day := range 3 {
		b.addEvents(100)
		b.damage(50)
		b.tx(readAll)
		if aside := b.setAside(); len(aside) != 1 {
			t.Errorf("%v are set aside on day %d, want one database, or bad days fill the disk", aside, day+1)
		}
		b.clock.Advance(24 * time.Hour)
	}
	if _, err := b.box.Disable(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := b.setAside(); len(left) != 0 {
		t.Errorf("%v still hold what the user has erased", left)
	}
}

func TestADatabaseThatWasReplacedOrRemovedIsNotWrittenTo(t *testing.T) {
	changes := map[string]func(b *bench){
		"replaced": func(b *bench) {
			b.damage(50)
			if err := b.open().InTx(context.Background(), readAll); err != nil {
				b.Fatal(err)
			}
		},
		"removed": func(b *bench) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				os.Remove(b.path + suffix)
			}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("a database that is open cannot be renamed there")
			}
			b := newBench(t)
			b.addEvents(100)
			if err := b.box.Close(); err != nil {
				t.Fatal(err)
			}
			leaving, staying := b.open(), b.open()
			for _, box := range []*outbox.Outbox{leaving, staying} {
				if err := box.InTx(context.Background(), readAll); err != nil {
					t.Fatal(err)
				}
			}
			change(b)
			b.box = b.open()
			first, last := b.event(1), b.event(2)
			b.add(first)
			if err := leaving.Close(); err != nil { // SQLite removes a WAL by its name
				t.Error(err)
			}
			if err := staying.InTx(context.Background(), b.adding(last)); err != nil {
				t.Fatal(err)
			}
			b.box = b.open()
			for _, m := range []outbox.Message{first, last} {
				if list := b.messages(outbox.Filter{ID: m.UUID}); len(list) != 1 {
					t.Error("a message that was recorded is not in the database at the path: nobody will ever find it")
				}
			}
		})
	}
}

// SQLite believes what it reads: a torn page may hold rows that no statement can have written.
func TestARowThatCannotBeIsDamage(t *testing.T) {
	for name, statement := range map[string]string{
		"a null consent":   `UPDATE consent SET tracking = NULL`,
		"a null schedule":  `UPDATE delivery SET failures = NULL`,
		"no schedule":      `DELETE FROM delivery`,
		"a null message":   `UPDATE messages SET properties = NULL, event = NULL WHERE seq = 2`,
		"a text for a seq": `UPDATE messages SET attempts = NULL WHERE seq = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if err := b.box.Enable(context.Background()); err != nil {
				t.Fatal(err)
			}
			b.addEvents(3)
			b.withoutConstraints(statement)
			b.addEvents(1)
			b.leave()
			b.mustFlush()
			if n := len(b.server.Events()); n < 3 {
				t.Errorf("PostHog has %d events, want all but a damaged one", n)
			}
			b.noViolations()
		})
	}
}

// withoutConstraints runs a statement on a copy of the schema that allows everything.
func (b *bench) withoutConstraints(statement string) {
	b.Helper()
	for _, s := range []string{
		`PRAGMA writable_schema = on`,
		`UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), ' STRICT', '')`,
	} {
		b.exec(s)
	}
	if err := b.box.Close(); err != nil {
		b.Fatal(err)
	}
	b.exec(statement)
}

// A page of receipts is read by nobody but a person who looks.
func TestDamageThatNoDeliveryMeetsIsMendedByIt(t *testing.T) {
	b := newBench(t)
	b.addEvents(300)
	b.mustFlush()
	b.damage(150)
	b.addEvents(1)
	b.leave()
	b.mustFlush()
	err := b.open().View(context.Background(), readAll)
	if err != nil {
		t.Errorf("looking at the queue fails with %v, and would as long as nothing else meets the damage", err)
	}
	b.isSound()
}

// A flipped bit makes of one number another that somebody has.
func TestAMessageWithADamagedNumberTakesNobodysPlace(t *testing.T) {
	b := newBench(t)
	b.addEvents(60)
	b.leave()
	content := b.content()
	// A row begins with its number, its header's size and the types: no number, a uuid, "capture".
	number := bytes.Index(content, []byte{60, 14, 0, 36*2 + 13, 7*2 + 13})
	if number < 0 {
		t.Fatal("the row of message 60 is not in the file")
	}
	content[number] = 52
	b.overwriteWith("", content)
	b.mustFlush()
	if n := len(b.server.Events()); n != 60 {
		t.Errorf("PostHog has %d events, want all 60", n)
	}
}

// addBulk adds events of 400 kB. With three of them a database is too large to be looked at before a
// delivery, and damage is left to what meets it.
func (b *bench) addBulk(n int) {
	for range n {
		m := b.event(0)
		m.Properties = []byte(`{"text":"` + strings.Repeat("x", 400_000) + `"}`)
		b.add(m)
	}
}

// The index gives a message another number than the table: it is neither sent, since it seems to
// have been taken back, nor ever settled.
func TestAFlusherDoesNotGoRoundInCircles(t *testing.T) {
	b := newBench(t)
	b.addBulk(3)
	b.addEvents(5)
	b.leave()
	content := b.content()
	entry := bytes.Index(content, []byte("pending\x06\x06")) // seq, and the number of the row, which is the same
	content[entry+len("pending")] = 77
	b.overwriteWith("", content)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := b.flusher().Run(ctx); err != nil {
		t.Fatalf("the flusher ended with %v, want all delivered", err)
	}
	if n := len(b.server.Events()); n != 8 {
		t.Errorf("PostHog has %d events, want 8: the table is whole", n)
	}
	b.noViolations()
}

// A row that cannot be sent, and that the index alone calls pending, can neither be given up.
func TestAMessageThatCannotBeSettledHoldsNothingUp(t *testing.T) {
	b := newBench(t)
	b.addBulk(3)
	b.addEvents(5)
	b.leave()
	content := b.content()
	row := bytes.Index(content, []byte(`{"n":2}`))
	content[row] = '!'
	content[row+bytes.Index(content[row:], []byte("pending"))] ^= 1
	b.overwriteWith("", content)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := b.flusher().Run(ctx); err != nil {
		t.Fatalf("the flusher ended with %v, want the others delivered", err)
	}
	if n := len(b.server.Events()); n != 7 {
		t.Errorf("PostHog has %d events, want the 7 that are whole", n)
	}
	b.noViolations()
}

func TestDamageThatIsMetJustBeforeTheRequestHoldsNothingUp(t *testing.T) {
	b := newBench(t)
	b.addEvents(5)
	b.leave()
	b.points = func(name string) {
		if name == "claimed" {
			b.points = nil
			overwrite(5*4096, 4096)(t, b.path) // the index of states
		}
	}
	b.mustFlush()
	if n := len(b.server.Events()); n != 5 {
		t.Errorf("PostHog has %d events, want 5", n)
	}
	b.isSound()
}

func TestAMessageWhoseStateIsDamagedStillWaits(t *testing.T) {
	b := newBench(t)
	b.addEvents(300)
	b.exec(`UPDATE messages SET state = 'dead', settled_at = 1 WHERE seq = 4`)
	b.damage(250)
	content := b.content()
	row := bytes.Index(content, []byte(`{"n":2}`))
	content[row+bytes.Index(content[row:], []byte("pending"))] ^= 1
	b.overwriteWith("", content)
	b.tx(readAll)
	if list := b.messages(outbox.Filter{ID: "3"}); len(list) != 1 || list[0].State != outbox.Pending {
		t.Errorf("the message is %+v, want it to wait: it was never settled", list)
	}
	if list := b.messages(outbox.Filter{ID: "4"}); len(list) != 1 || list[0].State != outbox.Dead {
		t.Errorf("the dead message is %+v, want it to stay visible as dead", list)
	}
}

func TestWhatLiesBetweenTwoDamagedPagesIsKept(t *testing.T) {
	b := newBench(t)
	b.addEvents(300)
	for _, n := range []int{0, 100, 200, 299} { // the first page and the last one, too
		b.damage(n)
	}
	b.tx(readAll)
	kept := map[string]bool{}
	for _, m := range b.messages(outbox.Filter{}) {
		kept[string(m.Properties)] = true
	}
	for _, n := range []int{50, 150, 250} {
		if !kept[fmt.Sprintf(`{"n":%d}`, n)] {
			t.Errorf("message %d is lost, and its page is whole", n)
		}
	}
}
