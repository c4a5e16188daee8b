package testbed

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Variables that only the program under test knows, and its flusher.
const (
	TestKillAt    = "ARCADE_TEST_KILL_AT"    // die by SIGKILL at this point; "name#3": the third time
	TestKillAfter = "ARCADE_TEST_KILL_AFTER" // die by SIGKILL after this duration, wherever that is
	TestStopAt    = "ARCADE_TEST_STOP_AT"    // stand still at this point
	TestStopUntil = "ARCADE_TEST_STOP_UNTIL" // a file: stand still until its lock is free
	TestTrace     = "ARCADE_TEST_TRACE"      // a file that gets a line for each point that is reached
	TestCallback  = "ARCADE_TEST_CALLBACK"   // the login's callback port
	TestMachine   = "ARCADE_TEST_MACHINE"    // the home, so that its processes can be found
	TestClock     = "ARCADE_TEST_CLOCK"      // a duration that is added to the clock
	TestAsIs      = "ARCADE_TEST_AS_IS"      // start flushers as the released program does
	TestPatience  = "ARCADE_TEST_PATIENCE"   // with a browser, a duration
	// TestProduction says what stands in for arcade.dev: "cloud.arcade.dev=ADDRESS", separated by blanks.
	// Other names there cannot be resolved.
	TestProduction = "ARCADE_TEST_PRODUCTION"
)

// Flusher is the marker of a flusher's process. In a command that has it, none is started.
const Flusher = "OUTBOX_FLUSHER=1"

// standIn is the value of BROWSER for which the program under test logs in by itself.
const standIn = "one"

// ForChild names the variable whose value counts in the flusher instead of that of name.
func ForChild(name string) string { return name + "_CHILD" }

// points is the program under test's answer to the points it reaches.
type points struct {
	role    string       // flusher or command
	lease   *flock.Flock // the flusher's; the garbage collector closes what nothing refers to
	mu      sync.Mutex   // the transport has a goroutine of its own
	reached map[string]int
}

// startPoints also sets the clock of a process that is to die at a moment and not at a point.
func startPoints(role string) *points {
	p := &points{role: role, reached: map[string]int{}, lease: holdLease(os.Getenv(testLease))}
	if after, err := time.ParseDuration(p.value(TestKillAfter)); err == nil {
		time.AfterFunc(after, func() { p.die("a moment") })
	}
	return p
}

// value reads a variable; a flusher's own comes first.
func (p *points) value(name string) string {
	if value, set := os.LookupEnv(ForChild(name)); set && p.role == "flusher" {
		return value
	}
	return os.Getenv(name)
}

func (p *points) reach(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reached[name]++
	p.trace(name)
	if isNow(p.value(TestKillAt), name, p.reached[name]) {
		p.die(name)
	}
	if isNow(p.value(TestStopAt), name, p.reached[name]) {
		p.trace("stopped at " + name)
		if err := flock.New(os.Getenv(TestStopUntil)).Lock(); err != nil {
			panic(err)
		}
	}
}

// isNow reports whether a point was named, "settled" for its first time or "settled#2".
func isNow(wanted, name string, times int) bool {
	return wanted == name && times == 1 || wanted == fmt.Sprintf("%s#%d", name, times)
}

// die leaves a line behind, so that a test knows where its processes have died.
func (p *points) die(where string) {
	p.trace("killed at " + where)
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		self.Kill()
	}
	select {}
}

// trace appends one line, in the order in which things happen on the machine: pid, role, what.
func (p *points) trace(what string) {
	f, err := os.OpenFile(os.Getenv(TestTrace), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil { // there is none, or the home has gone
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%d %s %s\n", os.Getpid(), p.role, what)
}
