package testbed

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// Machine is a computer with a home of its own, a PostHog, an Arcade Cloud and an Engine.
type Machine struct {
	testing.TB
	Home    string
	Posthog *outboxtest.Server
	Cloud   Cloud
	Engine  *secretstest.Engine
	// PosthogAt is PostHog's address, which stays the same while nobody listens.
	PosthogAt string
	Env       []string // on top of the usual
	callback  int      // the login's port
}

// NewMachine makes one whose home has no files.
func NewMachine(t testing.TB) *Machine {
	t.Helper()
	m := &Machine{TB: t, Home: t.TempDir(), Posthog: outboxtest.NewServer(), Engine: secretstest.Start(EngineKey), callback: FreePort(t)}
	m.Cloud = Cloud{m.OAuth()}
	m.Env = []string{fmt.Sprintf("%s=%d", TestCallback, m.callback)}
	t.Cleanup(m.Engine.Close)
	t.Cleanup(m.Posthog.Close)
	m.PosthogAt = fmt.Sprintf("http://127.0.0.1:%d", onFreePort(t, m.Posthog.Listen)) // nobody takes it while m is offline
	t.Cleanup(m.endFlushers)                                                          // one that outlives the test would write into a removed home
	return m
}

// Path is that of a file in Arcade's directory.
func (m *Machine) Path(name string) string { return filepath.Join(m.Home, ".arcade", name) }

// Command prepares `arcade args...` in an environment that holds nothing of the test's own.
func (m *Machine) Command(args ...string) *exec.Cmd {
	m.Helper()
	program, err := exec.LookPath("arcade")
	if err != nil {
		m.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = m.Home
	cmd.Env = append([]string{
		"HOME=" + m.Home, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", TestMachine + "=" + m.Home,
		"ARCADE_USAGE_HOST=" + m.PosthogAt, "ARCADE_USAGE_KEY=phc_test",
		"BROWSER=" + standIn,
	}, m.Env...)
	return cmd
}

// Result is how a process ended.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// Run runs `arcade args...` to its end.
func (m *Machine) Run(args ...string) Result {
	m.Helper()
	return m.Finish(m.Command(args...))
}

// Finish runs a prepared command to its end.
func (m *Machine) Finish(cmd *exec.Cmd) Result {
	m.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if cmd.ProcessState == nil {
		m.Fatalf("%v: %v", cmd.Args, err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), took}
}

// Must runs a command that has to succeed.
func (m *Machine) Must(args ...string) Result {
	m.Helper()
	r := m.Run(args...)
	if r.Code != 0 {
		m.Fatalf("arcade %v: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Notice is what a machine's first command says of the recording of usage.
func (m *Machine) Notice() string {
	if slices.Contains(m.Env, "ARCADE_USAGE_KEY=") {
		return cli.Notice("") // nobody to send it to
	}
	return cli.Notice(m.PosthogAt)
}

// Offline makes nobody listen at PostHog's address.
func (m *Machine) Offline() {
	m.PosthogAt = m.Posthog.URL()
	m.Posthog.Close()
}

// Online makes PostHog listen again where it did. A child that was made when it stopped to may have the
// socket open for another moment.
func (m *Machine) Online() {
	m.Helper()
	m.Eventually("PostHog listens again", func() bool {
		return m.Posthog.Listen(strings.TrimPrefix(m.PosthogAt, "http://")) == nil
	})
}

// Login logs in at the fake Arcade Cloud as the person it has been told about last.
func (m *Machine) Login() Result {
	m.Helper()
	return m.Must("login", "--host", "localhost", "--port", m.Cloud.Port())
}

// FreePort returns a port of this machine that nobody listens on.
func FreePort(tb testing.TB) int {
	tb.Helper()
	return onFreePort(tb, func(address string) error {
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
		}
		return err
	})
}

// lastPort begins somewhere, because packages are tested side by side.
var lastPort atomic.Int64

func init() { lastPort.Store(rand.Int64N(22_000)) }

// onFreePort tries one port after the other, each only once, until one can be used. It is none of those
// that systems give to whoever asks for any port, or connects (32768 and up): a test beside this one
// does both all the time.
func onFreePort(tb testing.TB, use func(address string) error) (port int) {
	tb.Helper()
	for range 100 {
		port := int(10_000 + lastPort.Add(1)%22_000)
		if use(fmt.Sprintf("127.0.0.1:%d", port)) == nil {
			return port
		}
	}
	tb.Fatal("no free port was found")
	return 0
}

// Inspect returns what `usage inspect --json` says.
func (m *Machine) Inspect() (found cli.Inspection) {
	m.Helper()
	if err := json.Unmarshal([]byte(m.Must("usage", "inspect", "--json", "--limit", "0").Stdout), &found); err != nil {
		m.Fatal(err)
	}
	return found
}

// Status returns what `usage status --json` says.
func (m *Machine) Status() (st cli.Status) {
	m.Helper()
	if err := json.Unmarshal([]byte(m.Must("usage", "status", "--json").Stdout), &st); err != nil {
		m.Fatal(err)
	}
	return st
}

// AwaitEvents waits until PostHog has n events, after de-duplication, and returns them.
func (m *Machine) AwaitEvents(n int, within time.Duration) []outboxtest.Commit {
	m.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := m.Posthog.AwaitEvents(ctx, n); err != nil {
		m.Fatalf("PostHog has %d of %d events after %s", len(m.Posthog.Events()), n, within)
	}
	return m.Posthog.Events()
}

// Deliverer prepares the process of a flusher, as a command starts it, in the foreground.
func (m *Machine) Deliverer() *exec.Cmd {
	m.Helper()
	cmd := m.Command()
	values := map[string]string{}
	for _, entry := range cmd.Env {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	lease, err := newLease(m.Home)
	if err != nil {
		m.Fatal(err)
	}
	m.makeLocks()
	lookup := func(name string) (string, bool) { value, set := values[name]; return value, set }
	environment := append(cmd.Env, childTestEnvironment(lookup, lease)...)
	cmd.Stdin = strings.NewReader(strings.Join(environment, "\x00") + "\x00\x00") // as package detach writes it
	cmd.Env = []string{Flusher, "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}
	return cmd
}

// makeLocks is the command's part: a flusher only finds its locks.
func (m *Machine) makeLocks() {
	m.Helper()
	for _, name := range []string{"usage.db.flusher.lock", "usage.db.linger.lock"} {
		lock, err := os.OpenFile(m.Path(name), os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // there may be no home
			m.Fatal(err)
		}
		lock.Close()
	}
}

// AwaitNoFlusher waits for the end of the flusher that a command may have left behind, also of
// one that has not come to its lock yet.
func (m *Machine) AwaitNoFlusher() {
	m.Helper()
	box, err := outbox.New(outbox.Config{Path: m.Path("usage.db")})
	if err != nil {
		m.Fatal(err)
	}
	m.Eventually("the flusher is gone", func() bool { return len(m.Flushers()) == 0 && !box.Flushing() })
}

// endFlushers tells what still lingers to leave, as a machine that shuts down does, and waits for that.
func (m *Machine) endFlushers() {
	m.Helper()
	m.Eventually("the flushers have left", func() bool {
		pids := m.Flushers()
		for _, pid := range pids {
			if pid > 0 {
				terminate(pid)
			}
		}
		return len(pids) == 0
	})
}

// Eventually waits for a condition, for longer than a flusher lives.
func (m *Machine) Eventually(what string, condition func() bool) {
	m.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.Errorf("it did not come true that %s", what)
			return
		}
	}
}

// NoViolations asks PostHog what it saw that a sender must never do.
func (m *Machine) NoViolations() {
	m.Helper()
	for _, v := range m.Posthog.Violations() {
		m.Errorf("PostHog saw: %s", v)
	}
}

// Query reads one value from the database as it lies on disk.
func (m *Machine) Query(statement string, args ...any) (value string) {
	m.Helper()
	db, err := sql.Open("sqlite", "file:"+m.Path("usage.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		m.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(statement, args...).Scan(&value); err != nil {
		m.Fatalf("%s: %v", statement, err)
	}
	return value
}

// Cloud is Arcade Cloud. Each person works in one project of their own.
type Cloud struct{ *identitytest.Cloud }

// Port is where it listens, on localhost.
func (c Cloud) Port() string { return At(c.Cloud)[3] }

// Meet puts a person in front of the browser; their key is "arc_" and their name. Before that
// nobody logs in there, and the browser comes back without a code.
func (c Cloud) Meet(person string) {
	c.AddKey("arc_"+person, "principal-"+person)
	c.Cloud.Meet(identitytest.Person{PrincipalID: "principal-" + person, Email: person + "@example.com", Orgs: []identitytest.Org{
		{ID: "org_" + person, Name: person, Projects: []identitytest.Project{{ID: "proj_" + person, Name: "Notes"}}},
	}})
}

// Hang makes Cloud leave the question whose credentials these are unanswered, or answer it again.
func (c Cloud) Hang(silent bool) {
	for _, path := range []string{identitytest.WhoAmIPath, identitytest.ValidatePath} {
		if silent {
			c.Cloud.Hang(path)
		} else {
			c.Override(path, nil)
		}
	}
}

// Calls counts how often that was asked.
func (c Cloud) Calls() int {
	return c.Count(identitytest.WhoAmIPath) + c.Count(identitytest.ValidatePath)
}

// Aliases are what PostHog has kept of them, each once.
func (m *Machine) Aliases() []outboxtest.Commit {
	return slices.DeleteFunc(m.Posthog.Events(), func(c outboxtest.Commit) bool { return !c.IsAlias() })
}

// Fault is outboxtest's fault of that name.
func Fault(name string) outboxtest.Fault { return outboxtest.MustFault(name) }

// WriteCredentials logs in by hand, as a configured CI image would be.
func (m *Machine) WriteCredentials(key string) {
	m.Helper()
	if err := os.MkdirAll(m.Path(""), 0o700); err != nil {
		m.Fatal(err)
	}
	content := fmt.Sprintf("cloud:\n  api: {key: %s, version: v1}\n  coordinator_url: %s\n", key, m.Cloud.URL)
	if err := os.WriteFile(m.Path("credentials.yaml"), []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

// ReadFile reads a file in Arcade's directory.
func (m *Machine) ReadFile(name string) string {
	m.Helper()
	content, err := os.ReadFile(m.Path(name))
	if err != nil {
		m.Fatal(err)
	}
	return string(content)
}

// WriteProgram writes a file that can be started at once. No child is made meanwhile: it would
// hold the file open for writing until its own exec, and whoever starts the program then gets
// "text file busy".
func WriteProgram(path string, content []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, 0o755)
}

// IsPrivate tells whether only its owner can read a file. On Windows that is up to the home's
// access list, which the file inherits.
func IsPrivate(info os.FileInfo) bool {
	return info.Mode().Perm() == 0o600 || runtime.GOOS == "windows"
}
