//go:build linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// A disk forgets anything: bits, sectors, the end of a file. Each round damages the outbox of a
// machine at random and wants the next two commands and a flusher to make good what can be made
// good. What can be read is what lies on pages that were not touched.
func TestTortureRandomDamage(t *testing.T) {
	const (
		perRound = 2 // no processes are started here
		perHome  = 10
	)
	n, _ := rounds(t, 50)
	if raceDetector { // makes SQLite many times slower, and has one goroutine to look at
		n /= 4
	}
	from := seed(t)
	sum := &decayFigures{}
	for home := range n * perRound / perHome {
		r := newRelic(t, newRand(from, uint64(home)))
		for round := range perHome {
			d := newDecay(newRand(from+1, uint64(home*perHome+round)), r.files)
			r.restore(d)
			if !r.mends(sum) || !r.delivers(d, sum) {
				t.Fatalf("in home %d, round %d of seed %d, after %s of %s", home, round, from, d.what, d.file)
			}
		}
	}
	t.Log(sum)
}

// The same with real processes, a few times: nobody notices anything.
func TestTortureRandomDamageCostsNoCommand(t *testing.T) {
	n, _ := rounds(t, 60)
	from := seed(t)
	for round := range n / 20 {
		r := newRelic(t, newRand(from, uint64(round)))
		d := newDecay(newRand(from+2, uint64(round)), r.files)
		m := newMachine(t).unsent()
		r.home = m.path("")
		r.restore(d)
		t.Logf("round %d: %s of %s", round, d.what, d.file)
		m.unnoticed(succeeding, failing)
		if !r.consent() { // one bit is the difference
			continue
		}
		m.with("ARCADE_USAGE_KEY=phc_test").must("usage", "flush")
		if !slices.ContainsFunc(m.posthog.Events(), func(e outboxtest.Commit) bool { return e.Event == eventFailed }) {
			t.Error("PostHog does not have the event of the second command")
		}
		m.soundAs(r.state.AnonID)
	}
}

// decayFigures is what the rounds of a run come to.
type decayFigures struct {
	rounds, replaced, late, off     int
	messages, readable, lost, saved int
}

func (f *decayFigures) String() string {
	return fmt.Sprintf("%d rounds, %d databases replaced, %d recorded by the second command only, %d switched off by the damage; "+
		"%d messages, %d of them on sound pages, of which %d lost; of the others %d saved",
		f.rounds, f.replaced, f.late, f.off, f.messages, f.readable, f.lost, f.saved)
}

// relic is the home of a machine as its last process left it. Its commands run in this process,
// on the ledger and the flusher of the program.
type relic struct {
	testing.TB
	*app
	home  string
	clock time.Time
	rng   *rand.Rand

	files   map[string][]byte // as they were before any damage
	pending []outbox.Message
	state   identity.State
}

// newRelic gives a machine a past: events, perhaps a login and receipts, in the database, the
// latest of them perhaps in the WAL.
func newRelic(t *testing.T, rng *rand.Rand) *relic {
	r := &relic{TB: t, app: newApp(), home: filepath.Join(t.TempDir(), ".arcade"), clock: time.Now().Truncate(time.Second), rng: rng}
	r.app.env = func(name string) string { return map[string]string{"ARCADE_USAGE_KEY": "phc_test"}[name] }
	r.app.now = func() time.Time { r.clock = r.clock.Add(time.Second); return r.clock }
	r.app.newUUID, r.app.newAnon = r.id, r.id
	r.live(rng.IntN(4))
	r.bulk(rng.IntN(300))
	if rng.IntN(2) == 0 {
		r.change = identity.Login{Credential: "c", Principal: "principal-ada"}
		r.live(1)
		if rng.IntN(3) == 0 {
			r.change = identity.Logout{Credential: "c"}
			r.live(1)
		}
	}
	if rng.IntN(3) == 0 {
		if err := r.deliver(outboxtest.New()); err != nil {
			t.Fatal(err)
		}
	}
	r.live(1 + rng.IntN(3))
	if rng.IntN(2) == 0 {
		r.liveOn(1 + rng.IntN(9))
	}
	r.keep()
	return r
}

func (r *relic) id() string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", r.rng.Uint32(), r.rng.Uint64()&0xffffffffffff)
}

func (r *relic) path(name string) string { return filepath.Join(r.home, name) }

// live runs n commands and wants all of them recorded.
func (r *relic) live(n int) {
	r.Helper()
	for range n {
		if err := r.command(); err != nil {
			r.Fatal(err)
		}
	}
}

// liveOn leaves what n commands recorded in the WAL, as processes do that do not close.
func (r *relic) liveOn(n int) {
	r.Helper()
	reader, err := sql.Open("sqlite", "file:"+r.path("usage.db"))
	if err != nil {
		r.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Exec(`SELECT 1 FROM sqlite_schema`); err != nil {
		r.Fatal(err)
	}
	r.live(n)
	r.keep()
}

// command records one event, as a process would.
func (r *relic) command() error {
	l := r.newLedger(r.home)
	defer l.box.Close()
	at := r.now()
	message := outbox.Message{
		UUID: r.newUUID(), Kind: outbox.Capture, Event: eventSucceeded, RecordedAt: at,
		Properties: fmt.Appendf(nil, `{"command_name":"succeed","padding":%q}`, strings.Repeat("x", r.rng.IntN(300))),
	}
	run := recording{app: r.app, ledger: l, credentials: l.readCredentials()}
	err := l.advance(context.Background(), &message, run.input, run.look)
	r.change = nil
	return errors.Join(err, l.behind)
}

// bulk adds n events of whom the machine is at once.
func (r *relic) bulk(n int) {
	r.Helper()
	r.live(1)
	box := r.outbox(r.home)
	defer box.Close()
	err := box.InTx(context.Background(), func(tx *sql.Tx) error {
		state, _, err := identity.Load(context.Background(), tx)
		for range n {
			err = errors.Join(err, outbox.AddTx(context.Background(), tx, outbox.Message{
				UUID: r.newUUID(), Kind: outbox.Capture, Event: eventSucceeded, AnonID: state.AnonID, DistinctID: state.AnonID,
				Properties: fmt.Appendf(nil, `{"command_name":"succeed","padding":%q}`, strings.Repeat("y", 250)), RecordedAt: r.now(),
			}))
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
}

// deliver sends all that waits to a PostHog without wires.
func (r *relic) deliver(posthog *outboxtest.Server) error {
	r.Helper()
	r.app.network = func() http.RoundTripper { return wireless{posthog} }
	l := r.newLedger(r.home)
	defer l.box.Close()
	f := r.newFlusher(l)
	f.Now = true
	ctx, cancel := context.WithTimeout(context.Background(), flusherWork)
	defer cancel()
	_, err := f.Run(ctx)
	return err
}

// wireless is a network without wires.
type wireless struct{ http.Handler }

func (w wireless) RoundTrip(request *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, request)
	return answer.Result(), nil
}

// keep remembers the home as it is.
func (r *relic) keep() {
	r.Helper()
	if r.files != nil {
		return
	}
	r.files = map[string][]byte{}
	for _, name := range []string{"usage.db", "usage.db-wal", "usage.json"} {
		content, err := os.ReadFile(r.path(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.Fatal(err)
		}
		if len(content) > 0 {
			r.files[name] = content
		}
	}
	var err error
	if r.pending, r.state, err = r.look(); err != nil {
		r.Fatal(err)
	}
}

// restore undoes what came of the last damage, and does the next.
func (r *relic) restore(d decay) {
	r.Helper()
	err := os.RemoveAll(r.home)
	err = errors.Join(err, os.Mkdir(r.home, 0o700))
	for name, content := range r.files {
		if name == d.file {
			content = d.content
		}
		err = errors.Join(err, os.WriteFile(r.path(name), content, 0o600))
	}
	if err != nil {
		r.Fatal(err)
	}
}

// look reads what waits and who the machine is.
func (r *relic) look() (pending []outbox.Message, state identity.State, err error) {
	r.Helper()
	err = r.outbox(r.home).View(context.Background(), func(tx *sql.Tx) (err error) {
		if state, _, err = identity.Load(context.Background(), tx); err != nil {
			return err
		}
		pending, err = outbox.MessagesTx(context.Background(), tx, outbox.Filter{State: outbox.Pending})
		return err
	})
	return pending, state, err
}

func (r *relic) consent() (on bool) {
	r.Helper()
	box := r.outbox(r.home)
	err := box.View(context.Background(), func(tx *sql.Tx) error {
		consent, err := box.ConsentTx(context.Background(), tx)
		on = consent.On
		return err
	})
	return on && err == nil
}

// mends runs the two commands after the damage, the second of which has to record at the latest.
func (r *relic) mends(sum *decayFigures) bool {
	r.Helper()
	sum.rounds++
	first, second := r.command(), r.command()
	switch {
	case errors.Is(second, outbox.ErrOff): // as above
		sum.off++
		return true
	case second != nil:
		r.Errorf("the first command ended with %v, the second one with %v, want it to record", first, second)
		return false
	case first != nil:
		sum.late++
	}
	return true
}

// delivers checks that what could be read arrives, as this machine's.
func (r *relic) delivers(d decay, sum *decayFigures) bool {
	r.Helper()
	posthog := outboxtest.New()
	if err := r.deliver(posthog); err != nil {
		if errors.Is(err, outbox.ErrOff) {
			return true
		}
		r.Errorf("the flusher ended with %v, want all that waits delivered", err)
		return false
	}
	if aside, err := filepath.Glob(r.path("usage.db.corrupt-*")); err == nil && len(aside) > 0 {
		sum.replaced++
	}
	next := r.command()
	left, state, err := r.look()
	if next != nil || err != nil || len(left) != 1 || state.AnonID != r.state.AnonID {
		r.Errorf("the next command ended with %v; %d messages are left and the machine is %s (%v); want its own one left, and %s",
			next, len(left), state.AnonID, err, r.state.AnonID)
	}
	for _, v := range posthog.Violations() {
		if !d.changesRows(r.files["usage.db"]) {
			r.Errorf("PostHog saw: %s", v)
		}
	}
	r.arrived(posthog, d, sum)
	return !r.Failed()
}

func (r *relic) arrived(posthog *outboxtest.Server, d decay, sum *decayFigures) {
	r.Helper()
	arrived := map[string]bool{}
	for _, e := range posthog.Events() {
		arrived[e.UUID] = true
	}
	for _, m := range r.pending {
		sum.messages++
		switch readable := d.leaves(m.UUID, r.files["usage.db"]); {
		case readable && !arrived[m.UUID]:
			sum.lost++
			r.Errorf("message %d is lost, and could be read", m.Seq)
		case readable:
			sum.readable++
		case arrived[m.UUID]:
			sum.saved++
		}
	}
}

// decay is damage done to one file.
type decay struct {
	file, what string
	content    []byte       // of the file, afterwards
	pages      map[int]bool // of the database, from 0, that it has changed
}

func newDecay(rng *rand.Rand, files map[string][]byte) decay {
	d := decay{file: "usage.db", pages: map[int]bool{}}
	if files["usage.db-wal"] != nil && rng.IntN(4) == 0 {
		d.file = "usage.db-wal"
	}
	before := files[d.file]
	at := rng.IntN(len(before))
	if rng.IntN(4) == 0 { // the first pages are in use, whatever the machine has seen
		at = rng.IntN(min(len(before), 20*page))
	}
	d.content = slices.Clone(before)
	d.harm(rng, at)
	for i := 0; d.file == "usage.db" && i < len(before); i++ {
		if i >= len(d.content) || d.content[i] != before[i] {
			d.pages[i/page] = true
		}
	}
	return d
}

// harm damages the content at one place, or in several.
func (d *decay) harm(rng *rand.Rand, at int) {
	switch rng.IntN(9) {
	case 0, 1, 2:
		bit := rng.IntN(8)
		d.what = fmt.Sprintf("the loss of bit %d of byte %d", bit, at)
		d.content[at] ^= 1 << bit
	case 3:
		n := 2 + rng.IntN(7)
		d.what = fmt.Sprintf("the loss of %d bits", n)
		for range n {
			d.content[rng.IntN(len(d.content))] ^= 1 << rng.IntN(8)
		}
	case 4:
		n := min(1+rng.IntN(100), len(d.content)-at)
		d.what = fmt.Sprintf("garbage in %d bytes from %d on", n, at)
		for i := range n {
			d.content[at+i] = byte(rng.IntN(256))
		}
	case 5, 6:
		size := []int{512, page}[rng.IntN(2)]
		at -= at % size
		d.what = fmt.Sprintf("zeroes in %d bytes from %d on", size, at)
		clear(d.content[at:min(at+size, len(d.content))])
	case 7:
		n := 2 + rng.IntN(4)
		d.what = fmt.Sprintf("zeroes in %d pages", n)
		for range n {
			at := rng.IntN(len(d.content)) / page * page
			clear(d.content[at:min(at+page, len(d.content))])
		}
	case 8:
		d.what = fmt.Sprintf("the loss of all from %d on", at)
		d.content = d.content[:at]
	}
}

// The kinds of a table's pages, by their first byte (https://www.sqlite.org/fileformat.html).
const (
	tableInterior = 5
	tableLeaf     = 13
)

// changesRows tells whether a row may say now what nobody wrote: no checksum guards it.
func (d decay) changesRows(before []byte) bool {
	for n := range d.pages {
		if n > 0 && before[n*page] == tableLeaf {
			return true
		}
	}
	return false
}

// leaves tells whether a message lies where the damage did not reach. A damaged page between the
// leaves takes them along: of messages, since no other table has as many.
func (d decay) leaves(uuid string, before []byte) bool {
	inDatabase := false
	for n := range len(before) / page {
		content := before[n*page : (n+1)*page]
		isLeaf := content[0] == tableLeaf && bytes.Contains(content, []byte(uuid))
		if d.pages[n] && (isLeaf || content[0] == tableInterior) {
			return false
		}
		inDatabase = inDatabase || isLeaf
	}
	return inDatabase || d.file != "usage.db-wal"
}
