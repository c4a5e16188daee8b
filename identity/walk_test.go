package identity

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The world of the walk: whose each credential is. f1 may come from the file
// and from the environment, the k ones from the environment alone.
var (
	walkFiles = []string{"f1", "f2", "f3", "f4"}
	walkKeys  = []string{"f1", "k2", "k3"}
	ownerOf   = map[string]string{"f1": "P", "f2": "P", "f3": "Q", "f4": "R", "k2": "Q", "k3": "S"}
)

// message is one row of the simulated outbox.
type message struct {
	isAlias, byKey             bool
	anon, distinct, credential string
}

func (m *message) undecided() bool { return m.distinct == "" }

// walk drives the machine through a world of commands, flushers, people and
// other programs, carries its steps out on a simulated outbox, and checks
// after each input what design.md promises.
type walk struct {
	t     *testing.T
	pick  func(n int) int // a choice below n
	trail []string

	file   string            // what the credentials file holds
	memory map[string]string // the principals table
	state  State
	rows   map[string]State // the identities table
	mirror []Adopted        // every usage.json there ever was

	outbox   []*message
	spoke    map[string]bool   // anon ids with an event of their own
	owner    map[string]string // anon id -> principal it was aliased to, by any program
	linked   map[string]string // anon id -> principal it was linked with
	loggedIn map[string]bool   // anon ids under which a person said who they are
	fresh    int
}

func (w *walk) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(w.trail, "\n"))
}

func (w *walk) newID() string {
	w.fresh++
	return fmt.Sprintf("a%d", w.fresh)
}

func (w *walk) oneOf(credentials []string) string { return credentials[w.pick(len(credentials))] }

// act lets one thing happen.
func (w *walk) act() {
	switch w.pick(14) {
	case 0, 1, 2, 4:
		w.apply(Command{Credential: w.file, Principal: w.memory[w.file]})
	case 3:
		key := w.oneOf(walkKeys)
		w.apply(Command{w.file, w.memory[w.file], key, w.memory[key]})
	case 5:
		w.file = w.oneOf(append(walkFiles, ""))
	case 6:
		w.file = w.oneOf(walkFiles)
		if w.pick(2) == 0 { // Cloud answers in time
			w.memory[w.file] = ownerOf[w.file]
		}
		w.apply(Login{w.file, w.memory[w.file]})
	case 7:
		in := Logout{Credential: w.file, Apart: w.pick(4) == 0}
		w.file = ""
		w.apply(in)
	case 8, 9:
		w.flush()
	case 10, 11:
		w.otherProgram()
	case 12:
		w.moveHouse()
	case 13:
		w.apply(Apart{})
	}
}

// moveHouse copies the home to another machine and goes on there. On the old
// one the anon id gets another owner, if it had none.
func (w *walk) moveHouse() {
	old := w.state.AnonID
	if old == "" {
		return
	}
	if w.pick(2) == 0 {
		w.file = "" // credentials are not always carried along
	}
	w.apply(Moved{})
	if w.owner[old] == "" && w.linked[old] == "" {
		w.owner[old] = "another user on the other machine"
	}
}

// flush asks Cloud about the file's credentials or a key, and sends.
func (w *walk) flush() {
	asked := w.file
	if w.pick(3) == 0 {
		asked = w.oneOf(walkKeys)
	}
	if asked != "" && w.pick(3) != 0 {
		w.memory[asked] = ownerOf[asked]
		w.apply(Learned{asked, ownerOf[asked], asked == w.file})
	}
	if w.pick(2) == 0 {
		w.send()
	}
}

// send lets everything go out that waits.
func (w *walk) send() {
	for _, m := range w.outbox {
		if !m.isAlias && m.undecided() {
			m.distinct = m.anon
			w.spoke[m.anon] = true
			w.apply(Released{m.anon})
		}
	}
}

// otherProgram writes usage.json as a program does that knows no database but
// is as careful with aliases as the file lets it be.
func (w *walk) otherProgram() {
	in := Adopted{AnonID: w.state.AnonID, PrincipalID: w.state.PrincipalID}
	switch w.pick(5) {
	case 0: // logs out
		w.file, in = "", Adopted{AnonID: w.newID()}
	case 1: // logs in
		w.file = w.oneOf(walkFiles)
		before := w.linked[in.AnonID]
		if in.AnonID == "" || in.PrincipalID != "" || w.owner[in.AnonID] != "" || before != "" && before != ownerOf[w.file] {
			return
		}
		in.PrincipalID = ownerOf[w.file]
		w.owner[in.AnonID] = in.PrincipalID
	case 2: // is new here, and logged in; the credentials may be another user's by now
		in = Adopted{AnonID: w.newID(), PrincipalID: ownerOf[w.oneOf(walkFiles)]}
		w.owner[in.AnonID] = in.PrincipalID
		w.file = w.oneOf(walkFiles)
	case 3: // restores a backup
		if len(w.mirror) == 0 {
			return
		}
		in = w.mirror[w.pick(len(w.mirror))]
	}
	if in.AnonID == "" {
		return
	}
	in.Known = w.rows[in.AnonID]
	if in.AnonID != w.state.AnonID || in.PrincipalID != w.state.PrincipalID {
		w.spoke[in.AnonID] = true // the other program may have used it
	}
	w.apply(in)
}

// apply runs the machine, carries out its steps, saves, and checks.
func (w *walk) apply(in Input) {
	before := w.state
	next, steps := Next(before, in, w.newID)
	w.trail = append(w.trail, fmt.Sprintf("  %T%+v\n    -> %+v %v", in, in, next, steps))
	if _, login := in.(Login); login {
		w.loggedIn[next.AnonID] = true
	}
	own, want := 0, 0
	for _, s := range steps {
		if s.Kind == AddEvent {
			own++
			w.addEvent(in, s)
		} else {
			w.carryOut(s)
		}
	}
	switch in.(type) {
	case Command, Apart, Login, Logout:
		want = 1
	}
	if own != want {
		w.failf("%T added %d events of its own; want %d", in, own, want)
	}
	w.state = next
	w.save(before, next)
	w.checkState()
	w.checkOrder()
}

// save does what Save does.
func (w *walk) save(before, next State) {
	if before.AnonID != "" && before.AnonID != next.AnonID {
		row := w.rows[before.AnonID]
		row.Aliased = true
		w.rows[before.AnonID] = row
	}
	if next.AnonID != "" { // a flusher may come before any command
		row := w.rows[next.AnonID]
		next.Aliased, next.Spoke = next.Aliased || row.Aliased, next.Spoke || row.Spoke
		w.rows[next.AnonID] = next
		w.mirror = append(w.mirror, Adopted{AnonID: next.AnonID, PrincipalID: next.PrincipalID})
	}
}

// addEvent adds the event of in: a command's is the principal's of its credentials, or waits.
func (w *walk) addEvent(in Input, s Step) {
	if s.AnonID == "" || (s.DistinctID == "") == (s.Credential == "") {
		w.failf("%+v: an event has an anon id, and either an owner or credentials to wait on", s)
	}
	command, _ := in.(Command)
	if owner := ownerOf[command.Credential]; command.Key == "" && owner != "" && s.DistinctID != "" && s.DistinctID != owner {
		w.failf("a command with %s's credentials is %s's", owner, s.DistinctID)
	}
	w.outbox = append(w.outbox, &message{anon: s.AnonID, distinct: s.DistinctID, credential: s.Credential, byKey: command.Key != ""})
	w.spoke[s.AnonID] = w.spoke[s.AnonID] || s.DistinctID == s.AnonID
}

func (w *walk) carryOut(s Step) {
	alias := w.aliasOf(s.AnonID)
	waits := alias != nil && alias.undecided()
	switch {
	case s.Kind == DecideEvents:
		w.decideEvents(s)
	case s.Kind == AddAlias && alias != nil:
		w.failf("a second alias of %s", s.AnonID)
	case s.Kind == AddAlias:
		m := &message{isAlias: true, anon: s.AnonID}
		w.outbox = append(w.outbox, m)
		if s.DistinctID != "" {
			w.claim(m, s.DistinctID)
		}
	case !waits:
		w.failf("%+v: no alias of %s waits", s, s.AnonID)
	case s.Kind == DecideAlias:
		w.claim(alias, s.DistinctID)
	case s.Kind == DropAlias:
		w.outbox = slices.DeleteFunc(w.outbox, func(m *message) bool { return m == alias })
	}
}

func (w *walk) decideEvents(s Step) {
	for _, m := range w.outbox {
		if m.isAlias || !m.undecided() || s.AnonID != "" && s.AnonID != m.anon || s.Credential != "" && s.Credential != m.credential {
			continue
		}
		m.distinct = cmp.Or(s.DistinctID, m.anon)
		if m.distinct == m.anon {
			w.spoke[m.anon] = true
		} else if m.distinct != ownerOf[m.credential] {
			w.failf("an event that waited on %s, which is %s's, became %s's", m.credential, ownerOf[m.credential], m.distinct)
		}
	}
}

func (w *walk) aliasOf(anon string) *message {
	for _, m := range w.outbox {
		if m.isAlias && m.anon == anon {
			return m
		}
	}
	return nil
}

// claim makes m an alias to principal, the one its anon id has for ever.
func (w *walk) claim(m *message, principal string) {
	if before, ok := w.owner[m.anon]; ok {
		w.failf("%s is aliased to %s, though it was aliased to %s before", m.anon, principal, before)
	}
	if !w.loggedIn[m.anon] && !w.spoke[m.anon] {
		w.failf("%s is aliased to %s without a login, though it never spoke", m.anon, principal)
	}
	m.distinct = principal
	w.owner[m.anon] = principal
}

// checkState compares the state with what the model knows about it.
func (w *walk) checkState() {
	s := w.state
	for _, m := range w.outbox {
		if m.isAlias && m.undecided() && (m.anon != s.AnonID || !s.unlinked()) {
			w.failf("the alias of %s waits, but the state is %+v: it will never be decided", m.anon, s)
		}
	}
	if m := w.aliasOf(s.AnonID); s.unlinked() && (m == nil || !m.undecided()) {
		w.failf("unlinked, but no alias of %s waits", s.AnonID)
	}
	if w.spoke[s.AnonID] && !s.Spoke {
		w.failf("%s has an event of its own, but the state does not know that it spoke", s.AnonID)
	}
	if owner := w.owner[s.AnonID]; owner != "" && !s.Aliased {
		w.failf("%s was aliased to %s, and the state has forgotten it", s.AnonID, owner)
	}
	if !s.linked() {
		return
	}
	if before, ok := w.linked[s.AnonID]; ok && before != s.PrincipalID {
		w.failf("%s is shared by %s and %s", s.AnonID, before, s.PrincipalID)
	}
	if owner, ok := w.owner[s.AnonID]; ok && owner != s.PrincipalID {
		w.failf("%s is aliased to %s and linked to %s", s.AnonID, owner, s.PrincipalID)
	}
	w.linked[s.AnonID] = s.PrincipalID
}

// checkOrder checks that an alias comes before the events of its principal. A
// key's events are its own affair: they say nothing about this anon id.
func (w *walk) checkOrder() {
	for i, m := range w.outbox {
		alias := w.aliasOf(m.anon)
		switch {
		case alias == nil || m.isAlias || m.byKey || m.undecided() || m.distinct == m.anon:
		case alias.undecided():
			w.failf("an event of %s is %s's while the alias still waits", m.anon, m.distinct)
		case alias.distinct == m.distinct && slices.Contains(w.outbox[i:], alias):
			w.failf("an event of %s comes before its alias to %s", m.anon, m.distinct)
		}
	}
}

func TestARandomWalkKeepsThePromises(t *testing.T) {
	walks, length := 1000, 60
	if testing.Short() {
		walks = 200
	}
	for seed := range uint64(walks) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := &walk{t: t, pick: rand.New(rand.NewPCG(seed, 0)).IntN, memory: map[string]string{}, rows: map[string]State{},
				spoke: map[string]bool{}, owner: map[string]string{}, linked: map[string]string{}, loggedIn: map[string]bool{}}
			for range length {
				w.act()
			}
			w.send()
		})
	}
}
