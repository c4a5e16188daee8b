package identity

import (
	"database/sql"
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
)

func ownerOf(credential string) string {
	return map[string]string{
		"f1": "P", "f2": "P", "f3": "Q", "f4": "R", "k2": "Q", "k3": "S",
	}[credential]
}

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

	tx *sql.Tx // the real storage, if it takes part

	outbox   []*message
	in       Input             // the input at work
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

// act lets one thing happen.
func (w *walk) act() {
	switch w.pick(14) {
	case 0, 1, 2, 4:
		w.command(Command{})
	case 3:
		key := walkKeys[w.pick(len(walkKeys))]
		w.command(Command{Key: key, KeyPrincipal: w.memory[key]})
	case 5:
		w.file = append(walkFiles, "")[w.pick(len(walkFiles)+1)]
	case 6:
		w.login(walkFiles[w.pick(len(walkFiles))], w.pick(2) == 0)
	case 7:
		w.logout()
	case 8, 9:
		w.flush()
	case 10, 11:
		w.otherProgram()
	case 12:
		w.moveHouse()
	case 13:
		w.apart()
	}
}

// apart runs a command under a context that keeps to itself.
func (w *walk) apart() {
	before := w.state
	w.apply(Apart{})
	after := w.state
	if after.Spoke = before.Spoke; before.AnonID != "" && after != before {
		w.failf("a self-hosted context changed the state from %+v to %+v", before, w.state)
	}
	if last := w.outbox[len(w.outbox)-1]; last.distinct != w.state.AnonID {
		w.failf("an event under a self-hosted context is %s's; want the anon id's", last.distinct)
	}
}

// moveHouse copies the home to another machine and goes on there. On the old
// one the anon id gets another owner, if it had none.
func (w *walk) moveHouse() {
	before := w.state
	if before.AnonID == "" {
		return
	}
	if w.pick(2) == 0 {
		w.file = "" // credentials are not always carried along
	}
	w.apply(Moved{})
	for _, m := range w.outbox {
		if !m.isAlias && m.undecided() {
			w.failf("an event of %s waits on another machine; there it may become another person's than here", m.anon)
		}
	}
	if w.owner[before.AnonID] == "" && w.linked[before.AnonID] == "" {
		w.owner[before.AnonID] = "another user on the other machine"
	}
}

func (w *walk) command(in Command) {
	in.Credential, in.Principal = w.file, w.memory[w.file]
	w.apply(in)
}

func (w *walk) login(credential string, answered bool) {
	w.file = credential
	if answered {
		w.memory[credential] = ownerOf(credential)
	}
	w.apply(Login{credential, w.memory[credential]})
}

func (w *walk) logout() {
	in := Logout{Credential: w.file, Apart: w.pick(4) == 0}
	w.file = ""
	w.apply(in)
}

// flush asks Cloud about the file's credentials or a key, and sends.
func (w *walk) flush() {
	asked := w.file
	if w.pick(3) == 0 {
		asked = walkKeys[w.pick(len(walkKeys))]
	}
	if asked != "" && w.pick(3) != 0 {
		w.memory[asked] = ownerOf(asked)
		w.apply(Learned{asked, ownerOf(asked), asked == w.file})
		for _, m := range w.outbox {
			if !m.isAlias && m.undecided() && m.credential == asked {
				w.failf("an event of %s waits on %s, whose principal is known", m.anon, asked)
			}
		}
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
		w.file = walkFiles[w.pick(len(walkFiles))]
		if before := w.linked[in.AnonID]; in.AnonID == "" || in.PrincipalID != "" || w.owner[in.AnonID] != "" || before != "" && before != ownerOf(w.file) {
			return
		}
		in.PrincipalID = ownerOf(w.file)
		w.owner[in.AnonID] = in.PrincipalID
	case 2: // is new here, and logged in; the credentials may be another user's by now
		w.file = walkFiles[w.pick(len(walkFiles))]
		in = Adopted{AnonID: w.newID(), PrincipalID: ownerOf(w.file)}
		w.owner[in.AnonID] = in.PrincipalID
		if w.pick(2) == 0 {
			w.file = walkFiles[w.pick(len(walkFiles))]
		}
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
	w.in = in
	next, steps := Next(w.state, in, w.newID)
	w.trail = append(w.trail, fmt.Sprintf("  %T%+v\n    -> %+v %v", in, in, next, steps))
	own := 0
	if _, login := in.(Login); login {
		w.loggedIn[next.AnonID] = true
	}
	for _, s := range steps {
		w.carryOut(s)
		if s.Kind == AddEvent {
			own++
		}
	}
	before := w.state
	w.state = next
	if before.AnonID != "" && before.AnonID != next.AnonID { // as Save does
		row := w.rows[before.AnonID]
		row.Aliased = true
		w.rows[before.AnonID] = row
	}
	if row, ok := w.rows[next.AnonID]; ok { // as Save does
		next.Aliased, next.Spoke = next.Aliased || row.Aliased, next.Spoke || row.Spoke
	}
	if next.AnonID != "" { // a flusher may come before any command
		w.rows[next.AnonID] = next
		w.mirror = append(w.mirror, Adopted{AnonID: next.AnonID, PrincipalID: next.PrincipalID})
	}
	if w.tx != nil {
		mustSave(w.t, w.tx, before, w.state, noon)
		for _, row := range w.rows { // what the walk relies on, current or retired
			checkLookup(w.t, w.tx, row)
		}
	}

	want := 0
	switch in.(type) {
	case Command, Apart, Login, Logout:
		want = 1
	}
	if own != want {
		w.failf("%T added %d events of its own; want %d", in, own, want)
	}
	w.checkState()
	w.checkOrder()
}

func (w *walk) carryOut(s Step) {
	switch s.Kind {
	case AddEvent:
		if s.AnonID == "" || (s.DistinctID == "") == (s.Credential == "") {
			w.failf("%+v: an event has an anon id, and either an owner or credentials to wait on", s)
		}
		w.checkOwner(s)
		w.outbox = append(w.outbox, &message{anon: s.AnonID, distinct: s.DistinctID, credential: s.Credential, byKey: w.byKey()})
		w.spoke[s.AnonID] = w.spoke[s.AnonID] || s.DistinctID == s.AnonID
	case AddAlias:
		if w.aliasOf(s.AnonID) != nil {
			w.failf("a second alias of %s", s.AnonID)
		}
		m := &message{isAlias: true, anon: s.AnonID}
		w.outbox = append(w.outbox, m)
		if s.DistinctID != "" {
			w.claim(m, s.DistinctID)
		}
	case DecideEvents:
		w.decideEvents(s)
	case DecideAlias:
		w.claim(w.waitingAlias(s), s.DistinctID)
	case DropAlias:
		dropped := w.waitingAlias(s)
		w.outbox = slices.DeleteFunc(w.outbox, func(m *message) bool { return m == dropped })
	default:
		w.failf("unknown step %+v", s)
	}
}

// checkOwner checks that a command's event is given to the principal of
// its credentials.
func (w *walk) checkOwner(s Step) {
	in, command := w.in.(Command)
	if command && in.Credential != "" && !w.byKey() && s.DistinctID != "" && s.DistinctID != ownerOf(in.Credential) {
		w.failf("a command with %s's credentials is %s's", ownerOf(in.Credential), s.DistinctID)
	}
}

func (w *walk) byKey() bool {
	in, command := w.in.(Command)
	return command && in.Key != ""
}

func (w *walk) decideEvents(s Step) {
	for _, m := range w.outbox {
		if m.isAlias || !m.undecided() || s.AnonID != "" && s.AnonID != m.anon || s.Credential != "" && s.Credential != m.credential {
			continue
		}
		m.distinct = s.DistinctID
		if m.distinct == "" {
			m.distinct = m.anon
		}
		if m.distinct == m.anon {
			w.spoke[m.anon] = true
		} else if m.distinct != ownerOf(m.credential) {
			w.failf("an event that waited on %s, which is %s's, became %s's", m.credential, ownerOf(m.credential), m.distinct)
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

func (w *walk) waitingAlias(s Step) *message {
	m := w.aliasOf(s.AnonID)
	if m == nil || !m.undecided() {
		w.failf("%+v: no alias of %s waits", s, s.AnonID)
	}
	return m
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
		if m.isAlias || m.byKey || m.undecided() || m.distinct == m.anon {
			continue
		}
		for j, other := range w.outbox {
			if !other.isAlias || other.anon != m.anon {
				continue
			}
			if other.undecided() {
				w.failf("an event of %s is %s's while the alias still waits", m.anon, m.distinct)
			}
			if other.distinct == m.distinct && j > i {
				w.failf("an event of %s comes before its alias to %s", m.anon, m.distinct)
			}
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
			if seed < 20 { // the database is slow
				w.tx = inTx(t)
			}
			for range length {
				w.act()
			}
			w.send()
		})
	}
}
