//go:build unix

package fire

import (
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// deadlyPoints are the named points at which commands and flushers are killed. A command's first ones, of a home's creation,
// are reached at its beginning alone.
func deadlyPoints() map[string][]string {
	both := []string{"inserted", "before-commit", "after-commit", "before-export", "after-export"}
	return map[string][]string{
		"command": append([]string{"created", "initialized", "filling", "filled", "synced", "before-spawn"}, both...),
		"flusher": append([]string{"flushing", "claimed", "before-request", "after-request", "answered", "settled",
			"lingering", "housekeeping", "before-shrink", "flushed", "waiting"}, both...),
	}
}

const pointsOfCreation = 5

// roundsPerStory is how long one home lives: long enough for a history, and short enough for
// every receipt to be there in the end.
const roundsPerStory = 20

func TestTortureKillAnywhere(t *testing.T) {
	t.Parallel()
	n := max(60, number(t, tortureRounds))
	from := seed(t)
	var mu sync.Mutex
	deaths := map[string]int{}
	// The tests of other rooms kill there: at a login of e2e, at older and damaged databases, and without shared memory, of the store.
	known := []string{"reserved", "replaced", "set-aside", "migrating", "migrated", "wal-abandoned"}
	known = append(known, slices.Concat(slices.Collect(maps.Values(deadlyPoints()))...)...)
	atOnce(n/roundsPerStory, 3, func(i int) {
		t.Run(fmt.Sprintf("story %d of seed %d", i, from), func(t *testing.T) {
			s := newStory(t, newRand(from, uint64(i)))
			for range roundsPerStory {
				s.round()
			}
			s.end()
			mu.Lock()
			defer mu.Unlock()
			for _, line := range s.trace() {
				if strings.HasPrefix(line.what, "killed at ") {
					deaths[line.role+" "+line.what]++
				} else if !slices.Contains(known, line.what) {
					t.Errorf("a %s has come to the point %q, at which none is killed", line.role, line.what)
				}
			}
		})
	})
	t.Log(deaths)
	for role, points := range deadlyPoints() {
		for _, point := range points {
			if n >= 500 && deaths[role+" killed at "+point] == 0 {
				t.Errorf("no %s was killed at %q: the test has lost its teeth", role, point)
			}
		}
	}
}

// atOnce runs n jobs, some of them at the same time: they wait for processes and the network
// more than they compute.
func atOnce(n, width int, job func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, width)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			job(i)
		})
	}
	wg.Wait()
}

// story is what happens on one machine, from its first command on.
type story struct {
	*machine
	rng     *rand.Rand
	usual   time.Duration // what a command takes here
	clock   time.Duration // how far ahead the machine's clock is
	rounds  int
	persons int
	deck    map[string][]string // points to die at, by role

	mu       sync.Mutex
	returned map[string]string // by uuid: what commands that have returned have recorded, and whose it is

	// whose a command's event is, as far as that is certain: "anonymous", a principal, or "" when
	// somebody died in the middle of a change.
	whose string
	anons []string // the machine's anon ids, in order
}

const anonymous = "anonymous"

func newStory(t *testing.T, rng *rand.Rand) *story {
	m := newMachine(t).traced().with("ARCADE_USAGE_DEBUG=1")
	return &story{
		machine: m, rng: rng, usual: 100 * time.Millisecond, whose: anonymous,
		returned: map[string]string{}, deck: map[string][]string{},
	}
}

func pick[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }

// round lets one thing happen on the machine and somebody die of it, perhaps.
func (s *story) round() {
	s.rounds++
	if s.rng.IntN(4) == 0 { // the network fails for a request or two; a refusal for good may end a message's life, and rightly
		faults := slices.DeleteFunc(outboxtest.AllFaults(), func(f outboxtest.Fault) bool {
			return slices.Contains([]string{"hang", "400", "413"}, f.Mode())
		})
		s.Posthog.SetFaults(slices.Repeat([]outboxtest.Fault{pick(s.rng, faults...)}, 1+s.rng.IntN(2))...)
	}
	s.tick(time.Duration(s.rng.IntN(5000)) * time.Millisecond)
	if s.rng.IntN(5) == 0 {
		s.tick(61 * time.Minute) // past every back-off
	}
	action := pick(s.rng, "succeed", "succeed", "succeed", "succeed", "succeed", "fail", "fail", "several", "several", "login", "login",
		"login", "logout", "logout", "key", "flush", "credentials by hand", "credentials gone", "python")
	death, cause := s.plan()
	if cause != "" {
		action = cause
	}
	s.act(action, s.with(death...))
	s.nobodyComesBack()
	if s.rng.IntN(3) == 0 {
		s.shootFlushers()
	}
}

// tick moves the machine's clock on.
func (s *story) tick(d time.Duration) {
	s.clock += d
	s.Env = append(s.Env, fmt.Sprintf("%s=%s", testbed.TestClock, s.clock))
}

// plan says who is to die in a round, and where or when, as variables; and what has to happen to lead there at all, or "".
func (s *story) plan() (death []string, cause string) {
	role, after := "", ""
	switch dice := s.rng.IntN(10); {
	case dice < 4, s.rounds <= 1: // a home is made only once
		role = "command"
	case dice < 7:
		role = "flusher"
	case dice < 9:
		role = pick(s.rng, "command", "flusher")
		after = fmt.Sprint(time.Duration(s.rng.Int64N(int64(s.usual) * 3 / 2)))
	default:
		return nil, ""
	}
	at := ""
	if after == "" {
		at = s.point(role)
	}
	if role == "flusher" { // the next command starts one, which begins at once
		s.shootFlushers()
		s.tick(61 * time.Minute)
	}
	if at == "waiting" { // for which one has to fail first
		s.Posthog.SetFaults(outboxtest.MustFault("503"))
		s.check(s.Run("succeed"))
		s.AwaitNoFlusher()
	}
	_, err := os.Stat(s.Path("credentials.yaml"))
	switch {
	case role == "flusher" && slices.Contains([]string{"inserted", "before-export", "after-export"}, at):
		cause = "credentials by hand" // a flusher learns whose they are
	case at != "before-export" && at != "after-export":
	case err == nil:
		cause = "logout"
	default:
		cause = "login"
	}
	killAt, killAfter := testbed.TestKillAt, testbed.TestKillAfter
	spared := []string{testbed.ForChild(killAt) + "=", testbed.ForChild(killAfter) + "="}
	if role == "flusher" {
		killAt, killAfter, spared = testbed.ForChild(killAt), testbed.ForChild(killAfter), nil
	}
	return append(spared, killAt+"="+at, killAfter+"="+after), cause
}

// point draws a point: of those that can be reached now none comes again before all have come.
func (s *story) point(role string) string {
	points := deadlyPoints()[role]
	if role == "command" && s.rounds <= 2 {
		return pick(s.rng, points[:pointsOfCreation]...)
	}
	if role == "command" {
		points = points[pointsOfCreation:]
	}
	if len(s.deck[role]) == 0 {
		s.rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		s.deck[role] = points
	}
	point := s.deck[role][0]
	s.deck[role] = s.deck[role][1:]
	if point == "before-commit" || point == "after-commit" {
		point += fmt.Sprintf("#%d", 1+s.rng.IntN(4))
	}
	return point
}

// act carries the action out on the machine m, whose commands may die of it.
func (s *story) act(action string, m *machine) {
	before := s.whose
	switch action {
	case "several":
		atOnce(2+s.rng.IntN(3), 4, func(int) { s.check(m.Run("succeed")) })
	case "login":
		s.login(m)
	case "logout":
		if s.check(m.Run("logout")) { // its event is still the person's
			s.whose = anonymous
		} else {
			s.whose = ""
		}
	case "key": // owns its own event and changes nothing
		s.whose = ""
		s.check(m.with("ARCADE_API_KEY=arc_" + s.meet()).Run("succeed"))
		s.whose = before
	case "flush":
		m.Run("usage", "flush", "--timeout", "3s")
	case "credentials by hand":
		s.whose = "" // it is for a flusher to find out
		s.WriteCredentials("arc_" + s.meet())
		s.check(m.Run("succeed"))
	case "credentials gone":
		if os.Remove(s.Path("credentials.yaml")) == nil && s.whose == anonymous {
			s.Error("somebody has logged out and the credentials were still there")
		}
		s.check(m.Run("succeed"))
	case "python": // changes the identity as the Python CLI would
		s.whose = ""
		anon := fmt.Sprintf("%08x-0000-4000-8000-%012x", s.rng.Uint32(), s.rng.Uint64()&0xffffffffffff)
		s.Require(os.MkdirAll(s.Path(""), 0o700))
		_, err := identity.WriteMirror(s.Path("usage.json"), identity.Mirror{AnonID: anon})
		s.Require(err)
		s.check(m.Run("succeed"))
	default:
		s.check(m.Run(action, "x"))
	}
}

// login ends with the person linked, unless somebody is logged in already or it dies. Its own
// event is only certain when it is known to be the person's.
func (s *story) login(m *machine) {
	before, person := s.whose, s.meet()
	s.whose = ""
	r := m.logsIn(person)
	s.check(r)
	switch {
	case r.Code != 0:
	case strings.Contains(r.Stdout, "already"):
		s.whose = before
	case !strings.Contains(r.Stdout, "logged in"):
		s.Errorf("round %d: a login says %q", s.rounds, r.Stdout)
	case s.Query(`SELECT count(*) FROM identities WHERE retired_at IS NULL AND principal_id = ?`, "principal-"+person) == "1":
		s.whose = "principal-" + person // else Cloud was too slow, and a flusher finds it out
	}
}

// meet puts somebody in front of the machine, more often than not a stranger.
func (s *story) meet() string {
	if s.persons == 0 || s.rng.IntN(3) > 0 {
		s.persons++
	}
	name := fmt.Sprintf("p%d", 1+s.rng.IntN(s.persons))
	s.Meet(name)
	return name
}

// recordedBy returns the uuid of which a command says that it has recorded it, and false if there is none.
func recordedBy(stderr string) (uuid string, found bool) {
	_, rest, found := strings.Cut(stderr, "usage: recorded ")
	uuid, _, _ = strings.Cut(rest, " ")
	return uuid, found
}

// check takes note of what a command says it has recorded, and returns false when it was killed.
// One that was not killed has to have recorded something.
func (s *story) check(r testbed.Result) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Code == -1 { // by a signal
		return false
	}
	s.usual = (9*s.usual + r.Took) / 10
	uuid, found := recordedBy(r.Stderr)
	if !found {
		s.Errorf("round %d: a command returned and has recorded nothing:\n%s", s.rounds, r.Stderr)
		return true
	}
	s.returned[uuid] = s.whose
	return true
}

// nobodyComesBack checks that an anon id that was left behind is never taken up again: whoever
// had it has gone.
func (s *story) nobodyComesBack() {
	db, err := sql.Open("sqlite", "file:"+s.Path("usage.db")+"?mode=ro&_busy_timeout=5000")
	s.Require(err)
	defer db.Close()
	var anon string // none, as long as there is no database
	err = db.QueryRow(`SELECT anon_id FROM identities WHERE retired_at IS NULL`).Scan(&anon)
	if err != nil || len(s.anons) > 0 && s.anons[len(s.anons)-1] == anon {
		return
	}
	if slices.Contains(s.anons, anon) {
		s.Errorf("round %d: the machine is %s again, which it had left behind", s.rounds, anon)
	}
	s.anons = append(s.anons, anon)
}

// shootFlushers kills from outside.
func (s *story) shootFlushers() {
	for _, pid := range s.Flushers() {
		if pid > 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// end lets the network be well, delivers what waits and looks at what has become of everything.
func (s *story) end() {
	s.shootFlushers()
	s.Posthog.SetFaults()
	s.tick(2 * time.Hour)
	s.check(s.Must("succeed"))
	s.AwaitNoFlusher()
	s.tick(2 * time.Hour)
	s.delivered(len(s.returned))
	s.sound()
	s.inOrder()
	s.neverTwoFlushers()
	arrived := s.shown()
	for uuid := range s.returned {
		if !arrived[uuid] {
			s.Errorf("%s is lost: a command has recorded it, and PostHog does not have it", uuid)
		}
	}
	for _, e := range s.Posthog.Events() {
		owner := e.DistinctID
		if e.Properties()["$process_person_profile"] == false {
			owner = anonymous
		}
		if want := s.returned[e.UUID]; want != "" && owner != want {
			s.Errorf("the event of %v belongs to %s, want %s", e.Properties()["command_name"], owner, want)
		}
	}
}

// Two deaths in a row: the first leaves a usage.json whose digest was never stored, the second
// one that is older than the database.
func TestAKilledExportDoesNotBringAnOldIdentityBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t).unsent()
	m.Must("succeed")
	m.with(testbed.TestKillAt + "=after-export").logsIn("ada")
	if got := m.ReadFile("usage.json"); !strings.Contains(got, "principal-ada") {
		t.Fatalf("the login was to die after it had written usage.json, which is\n%s", got)
	}
	m.with(testbed.TestKillAt + "=before-export").Run("logout")
	m.Must("succeed")
	found := m.Inspect()
	if last := found.Messages[len(found.Messages)-1]; !last.Anonymous || found.Identity.LinkedPrincipalID != nil {
		t.Errorf("after a logout the machine is linked to %v, and its event belongs to %v", found.Identity.LinkedPrincipalID, last.DistinctID)
	}
	m.mirrorAgrees()
}
