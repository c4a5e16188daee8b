package testbed

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

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
	// PosthogAt is PostHog's address, which stays the same while PostHog is offline.
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
	m.PosthogAt = fmt.Sprintf("http://127.0.0.1:%d", onFreePort(t, m.Posthog.Listen)) // no other program takes it while m is offline
	t.Cleanup(m.endFlushers)                                                          // one that outlives the test would write into a removed home
	return m
}

// Path is that of a file in Arcade's directory.
func (m *Machine) Path(name string) string { return filepath.Join(m.Home, ".arcade", name) }

// Command prepares `arcade args...` in an environment that holds nothing of the test's own.
func (m *Machine) Command(args ...string) *exec.Cmd {
	m.Helper()
	program, err := exec.LookPath("arcade")
	m.Require(err)
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

// Finish runs a prepared command to its end. A standard output that is set already stays.
func (m *Machine) Finish(cmd *exec.Cmd) Result {
	m.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stderr = &stderr; cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
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
		return cli.Notice("")
	}
	return cli.Notice(m.PosthogAt)
}

// Offline stops PostHog; its address stays.
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

// Inspect returns what `usage inspect --json` says.
func (m *Machine) Inspect() cli.Inspection {
	m.Helper()
	return decoded[cli.Inspection](m, "usage", "inspect", "--json", "--limit", "0")
}

// Status returns what `usage status --json` says.
func (m *Machine) Status() cli.Status {
	m.Helper()
	return decoded[cli.Status](m, "usage", "status", "--json")
}

func decoded[T any](m *Machine, args ...string) (value T) {
	m.Helper()
	m.Require(json.Unmarshal([]byte(m.Must(args...).Stdout), &value))
	return value
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
	m.Require(err)
	lock, err := os.OpenFile(m.Path("usage.db.flusher.lock"), os.O_WRONLY|os.O_CREATE, 0o600) // a flusher only finds it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {                                        // there may be no home
		m.Fatal(err)
	}
	lock.Close()
	lookup := func(name string) (string, bool) { value, set := values[name]; return value, set }
	environment := append(cmd.Env, childTestEnvironment(lookup, lease)...)
	cmd.Stdin = strings.NewReader(strings.Join(environment, "\x00") + "\x00\x00") // as package detach writes it
	cmd.Env = []string{Flusher, "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}
	return cmd
}

// AwaitNoFlusher waits for the end of the flusher that a command may have left behind, also of
// one that has not come to its lock yet.
func (m *Machine) AwaitNoFlusher() {
	m.Helper()
	box, err := outbox.New(outbox.Config{Path: m.Path("usage.db")})
	m.Require(err)
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

// Require ends the test with an error of its set-up.
func (m *Machine) Require(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// Eventually waits for a condition, for longer than a flusher lives on the busiest machine.
func (m *Machine) Eventually(what string, condition func() bool) {
	m.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
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
	m.Require(err)
	defer db.Close()
	if err := db.QueryRow(statement, args...).Scan(&value); err != nil {
		m.Fatalf("%s: %v", statement, err)
	}
	return value
}

// Aliases are what PostHog has kept of them, each once.
func (m *Machine) Aliases() []outboxtest.Commit {
	return slices.DeleteFunc(m.Posthog.Events(), func(c outboxtest.Commit) bool { return !c.IsAlias() })
}

// WriteCredentials logs in by hand, as a configured CI image would be.
func (m *Machine) WriteCredentials(key string) {
	m.Helper()
	m.Require(os.MkdirAll(m.Path(""), 0o700))
	content := fmt.Sprintf("cloud:\n  api: {key: %s, version: v1}\n  coordinator_url: %s\n", key, m.Cloud.URL)
	m.Require(os.WriteFile(m.Path("credentials.yaml"), []byte(content), 0o600))
}

// ReadFile reads a file in Arcade's directory.
func (m *Machine) ReadFile(name string) string {
	m.Helper()
	content, err := os.ReadFile(m.Path(name))
	m.Require(err)
	return string(content)
}

// Flushers returns the process ids of this machine's flushers, 0 for one that has not begun.
func (m *Machine) Flushers() (pids []int) {
	m.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(m.Home), "lease-*"))
	m.Require(err)
	for _, path := range paths {
		// First the process id, then whether it lives: a flusher that writes its id in between counts as one that has
		// not begun, and not as one that has ended.
		content, _ := os.ReadFile(path)
		pid, _ := strconv.Atoi(string(content))
		lease := flock.New(path, flock.SetFlag(os.O_RDWR))
		free, err := lease.TryLock()
		lease.Close()
		// A flusher without an id has not begun yet, or never will: its command was killed before it had handed
		// the environment over, for which a child waits five seconds.
		info, gone := os.Stat(path)
		coming := pid == 0 && gone == nil && time.Since(info.ModTime()) < 10*time.Second
		if err == nil && (!free || coming) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// OAuth starts an Arcade Cloud where these people have accounts; the first of them is in front of the
// browser.
func (m *Machine) OAuth(people ...identitytest.Person) *identitytest.Cloud {
	m.Helper()
	cloud := identitytest.Start(people...)
	m.Cleanup(cloud.Close)
	cloud.Set(func(b *identitytest.Behaviour) {
		b.RedirectURI = fmt.Sprintf("http://127.0.0.1:%d/callback", m.callback)
	})
	return cloud
}

// EnginePort is the Engine's port on localhost.
func (m *Machine) EnginePort() string {
	m.Helper()
	return PortOf(m, m.Engine.URL)
}

// RunWith is Run with a text on standard input.
func (m *Machine) RunWith(stdin string, args ...string) Result {
	m.Helper()
	cmd := m.Command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	return m.Finish(cmd)
}

// With returns the same machine with more in the environment of its commands.
func (m *Machine) With(env ...string) *Machine {
	same := *m
	same.Env = slices.Concat(m.Env, env)
	return &same
}

// Production returns the same machine, for which its Cloud and its Engine are those of arcade.dev.
func (m *Machine) Production() *Machine {
	return m.With(TestProduction + "=cloud.arcade.dev=" + m.Cloud.URL + " api.arcade.dev=" + m.Engine.URL)
}
