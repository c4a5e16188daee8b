//go:build unix

package fire

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
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

// deadlyPoints are the named points at which commands and flushers are killed.
func deadlyPoints() map[string][]string {
	both := []string{"inserted", "before-commit", "after-commit", "before-export", "after-export"}
	return map[string][]string{
		"command": append([]string{"created", "initialized", "filling", "filled", "synced", "before-spawn"}, both...),
		"flusher": append([]string{"flushing", "claimed", "before-request", "after-request", "answered", "settled",
			"lingering", "housekeeping", "before-shrink", "flushed", "waiting"}, both...),
	}
}

// rarePoints are reached in the homes of other tests, and of the store's: with a damaged database, an older one, and without
// shared memory.
func rarePoints() []string { return []string{"set-aside", "migrating", "migrated", "wal-abandoned"} }

// A point that nobody is killed at proves nothing.
func TestTortureKnowsEveryPoint(t *testing.T) {
	known := rarePoints()
	for _, points := range deadlyPoints() {
		known = append(known, points...)
	}
	call := regexp.MustCompile(`\b[pP]oint\("([a-z0-9-]+)"\)`)
	for _, pattern := range []string{"../track/*.go", "../../../../outbox/*.go", "../../../../outbox/internal/store/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range call.FindAllSubmatch(source, -1) {
				if name := string(match[1]); !slices.Contains(known, name) {
					t.Errorf("%s: no test kills a process at %q", file, name)
				}
			}
		}
	}
}

// roundsPerStory is how long one home lives: long enough for a history, and short enough for
// every receipt to be there in the end.
const roundsPerStory = 20

func TestTortureKillAnywhere(t *testing.T) {
	t.Parallel()
	n, long := rounds(t, 60)
	from := seed(t)
	sum := &figures{of: map[string]int{}}
	stories := (n + roundsPerStory - 1) / roundsPerStory
	atOnce(stories, 3, func(i int) {
		t.Run(fmt.Sprintf("story %d of seed %d", i, from), func(t *testing.T) {
			s := newStory(t, newRand(from, uint64(i)))
			for range min(roundsPerStory, n-i*roundsPerStory) {
				s.round()
			}
			s.end()
			sum.add(s)
		})
	})
	t.Log(sum.of)
	for role, points := range deadlyPoints() {
		for _, point := range points {
			if long && n >= 500 && sum.of[role+" killed at "+point] == 0 {
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
	t       testing.TB
	rng     *rand.Rand
	usual   time.Duration // what a command takes here
	clock   time.Duration // how far ahead the machine's clock is
	persons int
	deck    map[string][]string // points to die at, by role

	rounds, faults, shot int
	mu                   sync.Mutex
	returned             map[string]string // by uuid: what commands that have returned have recorded, and whose it is

	// whose a command's event is, as far as that is certain: "anonymous", a principal, or "" when
	// somebody died in the middle of a change.
	whose string
	anons []string // the machine's anon ids, in order
}

func newStory(t *testing.T, rng *rand.Rand) *story {
	s := &story{
		machine: newMachine(t).traced(), t: t, rng: rng, usual: 100 * time.Millisecond, whose: anonymous,
		returned: map[string]string{}, deck: map[string][]string{},
	}
	s.Env = append(s.Env, "ARCADE_USAGE_DEBUG=1")
	return s
}

const anonymous = "anonymous"

// round lets one thing happen on the machine and somebody die of it, perhaps.
func (s *story) round() {
	s.rounds++
	s.weather()
	s.tick()
	action := pick(s.rng, "succeed", "succeed", "succeed", "succeed", "succeed", "fail", "fail", "several", "several", "login", "login",
		"login", "logout", "logout", "key", "flush", "credentials by hand", "credentials gone", "python")
	death := s.plan()
	action = death.cause(action, s.loggedIn())
	s.act(action, s.with(death.environment()...))
	s.nobodyComesBack()
	if s.rng.IntN(3) == 0 {
		s.shootFlushers()
	}
}

// nobodyComesBack checks that an anon id that was left behind is never taken up again: whoever
// had it has gone.
func (s *story) nobodyComesBack() {
	anon, ok := s.anonID()
	if !ok || len(s.anons) > 0 && s.anons[len(s.anons)-1] == anon {
		return
	}
	if slices.Contains(s.anons, anon) {
		s.t.Errorf("round %d: the machine is %s again, which it had left behind", s.rounds, anon)
	}
	s.anons = append(s.anons, anon)
}

// anonID returns the machine's anon id, and false as long as there is no database.
func (s *story) anonID() (anon string, ok bool) {
	db, err := sql.Open("sqlite", "file:"+s.Path("usage.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		return "", false
	}
	defer db.Close()
	err = db.QueryRow(`SELECT anon_id FROM identities WHERE retired_at IS NULL`).Scan(&anon)
	return anon, err == nil
}

// act carries the action out on the machine m, whose commands may die of it.
func (s *story) act(action string, m *machine) {
	switch action {
	case "several":
		atOnce(2+s.rng.IntN(3), 4, func(int) { s.check(m.Run("succeed")) })
	case "login":
		s.login(m, s.meet())
	case "logout":
		if s.check(m.Run("logout")) {
			s.whose = anonymous
		} else {
			s.whose = ""
		}
	case "key": // owns its own event and changes nothing
		before := s.whose
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
			s.t.Error("somebody has logged out and the credentials were still there")
		}
		s.check(m.Run("succeed"))
	case "python":
		s.whose = ""
		s.writeMirrorAsPython()
		s.check(m.Run("succeed"))
	case "fail":
		s.check(m.Run("fail", "x"))
	default:
		s.check(m.Run(action))
	}
}

// login ends with the person linked, unless somebody is logged in already or it dies. Its own
// event is only certain when it is known to be the person's.
func (s *story) login(m *machine, person string) {
	before := s.whose
	s.whose = ""
	r := m.RunWith("arc_"+person+"\n", m.loginArgs()...)
	s.check(r)
	switch {
	case r.Code != 0:
	case strings.Contains(r.Stdout, "already"):
		s.whose = before
	case !strings.Contains(r.Stdout, "logged in"):
		s.t.Errorf("round %d: a login says %q", s.rounds, r.Stdout)
	case s.Query(`SELECT count(*) FROM identities WHERE retired_at IS NULL AND principal_id = ?`, "principal-"+person) == "1":
		s.whose = "principal-" + person // else Cloud was too slow, and a flusher finds it out
	}
}

func pick[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }

// weather makes PostHog fail for a request or two now and then. A refusal for good is left
// out: it may end a message's life, and rightly.
func (s *story) weather() {
	if s.rng.IntN(4) != 0 {
		return
	}
	faults := slices.DeleteFunc(outboxtest.AllFaults(), func(f outboxtest.Fault) bool {
		return slices.Contains([]string{"hang", "400", "413"}, f.Mode())
	})
	fault := pick(s.rng, faults...)
	s.Posthog.SetFaults(slices.Repeat([]outboxtest.Fault{fault}, 1+s.rng.IntN(2))...)
	s.faults++
}

// tick moves the machine's clock on, sometimes past every back-off.
func (s *story) tick() {
	s.clock += time.Duration(s.rng.IntN(5000)) * time.Millisecond
	if s.rng.IntN(5) == 0 {
		s.clock += 61 * time.Minute
	}
	s.Env = append(s.Env, fmt.Sprintf("%s=%s", testbed.TestClock, s.clock))
}

// meet puts somebody in front of the machine, more often than not a stranger.
func (s *story) meet() string {
	if s.persons == 0 || s.rng.IntN(3) > 0 {
		s.persons++
	}
	name := fmt.Sprintf("p%d", 1+s.rng.IntN(s.persons))
	s.Cloud.Meet(name)
	return name
}

// death says who is to die in a round, and where or when; "" is nobody.
type death struct{ commandAt, commandAfter, flusherAt, flusherAfter string }

func (d death) environment() []string {
	return []string{
		testbed.TestKillAt + "=" + d.commandAt, testbed.TestKillAfter + "=" + d.commandAfter,
		testbed.ForChild(testbed.TestKillAt) + "=" + d.flusherAt, testbed.ForChild(testbed.TestKillAfter) + "=" + d.flusherAfter,
	}
}

// cause returns the action, or another one that leads to the point of the death at all.
func (d death) cause(action string, loggedIn bool) string {
	switch {
	case slices.Contains([]string{"inserted", "before-export", "after-export"}, d.flusherAt):
		return "credentials by hand" // a flusher learns whose they are
	case !slices.Contains([]string{"before-export", "after-export"}, d.commandAt):
		return action
	case loggedIn:
		return "logout"
	default:
		return "login"
	}
}

func (s *story) loggedIn() bool {
	_, err := os.Stat(s.Path("credentials.yaml"))
	return err == nil
}

func (s *story) plan() (d death) {
	moment := func() string { return fmt.Sprint(time.Duration(s.rng.Int64N(int64(s.usual) * 3 / 2))) }
	switch dice := s.rng.IntN(10); {
	case dice < 4, s.rounds <= 1: // a home is made only once
		d.commandAt = s.point("command")
	case dice < 7:
		d.flusherAt = s.point("flusher")
	case dice < 8:
		d.commandAfter = moment()
	case dice < 9:
		d.flusherAfter = moment()
	}
	switch {
	case d.flusherAt == "waiting":
		s.backOff()
	case d.flusherAt+d.flusherAfter != "":
		s.clearTheWay()
	}
	return d
}

// backOff lets a flusher fail, so that the next one has to wait.
func (s *story) backOff() {
	s.clearTheWay()
	s.Posthog.SetFaults(outboxtest.MustFault("503"))
	s.check(s.Run("succeed"))
	s.AwaitNoFlusher()
}

// clearTheWay makes sure that the next command starts a flusher, which begins at once.
func (s *story) clearTheWay() {
	s.shootFlushers()
	s.clock += 61 * time.Minute
	s.Env = append(s.Env, fmt.Sprintf("%s=%s", testbed.TestClock, s.clock))
}

// point draws a point. Those of a home's creation are only reached at its beginning; of the
// others none comes again before all have come.
func (s *story) point(role string) string {
	const creation = 5
	points := deadlyPoints()[role]
	if role == "command" && s.rounds <= 2 {
		return pick(s.rng, points[:creation]...)
	}
	if role == "command" {
		points = points[creation:]
	}
	if len(s.deck[role]) == 0 {
		s.rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		s.deck[role] = points
	}
	point := s.deck[role][0]
	s.deck[role] = s.deck[role][1:]
	if slices.Contains([]string{"before-commit", "after-commit"}, point) {
		point += fmt.Sprintf("#%d", 1+s.rng.IntN(4))
	}
	return point
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
	_, rest, found := strings.Cut(r.Stderr, "usage: recorded ")
	if !found {
		s.t.Errorf("round %d: a command returned and has recorded nothing:\n%s", s.rounds, r.Stderr)
		return true
	}
	uuid, _, _ := strings.Cut(rest, " ")
	s.returned[uuid] = s.whose
	return true
}

// shootFlushers kills from outside, where /proc tells whom.
func (s *story) shootFlushers() {
	for _, pid := range s.Flushers() {
		if pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			s.shot++
		}
	}
}

// writeMirrorAsPython changes the identity as the Python CLI would.
func (s *story) writeMirrorAsPython() {
	anon := fmt.Sprintf("%08x-0000-4000-8000-%012x", s.rng.Uint32(), s.rng.Uint64()&0xffffffffffff)
	if err := os.MkdirAll(s.Path(""), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if _, err := identity.WriteMirror(s.Path("usage.json"), identity.Mirror{AnonID: anon}); err != nil {
		s.t.Fatal(err)
	}
}

// end lets the network be well, delivers what waits and looks at what has become of everything.
func (s *story) end() {
	s.shootFlushers()
	s.Posthog.SetFaults()
	s.clock += 2 * time.Hour
	s.Env = append(s.Env, fmt.Sprintf("%s=%s", testbed.TestClock, s.clock))
	s.check(s.Must("succeed"))
	s.AwaitNoFlusher()
	s.Must(flushing...)
	s.sound()
	s.neverTwoFlushers()
	s.NoViolations()
	if lost, doubled := s.lost(), s.doubled(); len(lost)+len(doubled) > 0 {
		s.t.Errorf("lost: %v, doubled: %v", lost, doubled)
	}
	s.inOrder()
	s.ownersAreRight()
}

// ownersAreRight checks whose the events are of which that is certain.
func (s *story) ownersAreRight() {
	for _, e := range s.Posthog.Events() {
		owner := e.DistinctID
		if e.Properties()["$process_person_profile"] == false {
			owner = anonymous
		}
		if want := s.returned[e.UUID]; want != "" && owner != want {
			s.t.Errorf("the event of %v belongs to %s, want %s", e.Properties()["command_name"], owner, want)
		}
	}
}

// lost returns what a command has recorded and PostHog does not have.
func (s *story) lost() (uuids []string) {
	arrived := s.shown()
	for uuid := range s.returned {
		if !arrived[uuid] {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}

// figures is what the stories of a run come to.
type figures struct {
	mu sync.Mutex
	of map[string]int
}

func (f *figures) add(s *story) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of["homes"]++
	f.of["rounds"] += s.rounds
	f.of["faults"] += s.faults
	f.of["messages"] += len(s.Posthog.Events())
	f.of["repeats folded"] += len(s.Posthog.Commits()) - len(s.Posthog.Events())
	f.of["flusher shot from outside"] += s.shot
	for _, line := range s.trace() {
		if strings.HasPrefix(line.what, "killed at ") {
			f.of[line.role+" "+line.what]++
		}
	}
}

// Two deaths in a row: the first leaves a usage.json whose digest was never stored, the second
// one that is older than the database.
func TestAKilledExportDoesNotBringAnOldIdentityBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t).unsent()
	m.Must("succeed")
	m.Cloud.Meet("ada")
	m.with(testbed.TestKillAt+"=after-export").RunWith("arc_ada\n", m.loginArgs()...)
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
