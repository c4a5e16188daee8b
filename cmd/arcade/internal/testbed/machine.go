package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// EngineKey is the API key that the Engine of a test accepts. Arcade Cloud knows it, too, once
// it has met the engineer.
const EngineKey = "arc_engineer"

// Machine is a computer with a home of its own, a PostHog, an Arcade Cloud and an Engine.
type Machine struct {
	testing.TB
	Home    string
	Program string // its path
	Posthog *outboxtest.Server
	Cloud   *identitytest.Cloud
	Engine  *secretstest.Engine
	// PosthogAt is PostHog's address, which stays the same while PostHog is offline.
	PosthogAt string
	Env       []string             // on top of the usual
	User      *syscall.SysProcAttr // of its commands, nil for the test's own
	Callback  int                  // the port on which a login waits for the browser
}

// NewMachine makes one whose home has no files.
func NewMachine(t testing.TB) *Machine {
	t.Helper()
	m := &Machine{TB: t, Home: t.TempDir(), Posthog: outboxtest.NewServer(), Engine: secretstest.Start(EngineKey)}
	program, err := exec.LookPath("arcade")
	m.Require(err)
	m.Program, m.Callback = program, onFreePort(t, unused)
	m.Cloud = m.NewCloud()
	m.Env = []string{fmt.Sprintf("%s=%d", TestCallback, m.Callback)}
	t.Cleanup(m.Engine.Close)
	t.Cleanup(m.Posthog.Close)
	// One that no other program takes while this machine is offline.
	m.PosthogAt = fmt.Sprintf("http://127.0.0.1:%d", onFreePort(t, m.Posthog.Listen))
	t.Cleanup(m.endFlushers) // one that outlives the test would write into a removed home
	return m
}

// Path is that of a file in Arcade's directory.
func (m *Machine) Path(name string) string { return filepath.Join(m.Home, ".arcade", name) }

// Environment is what the machine's processes get. It holds nothing of the test's own.
func (m *Machine) Environment() []string {
	return append([]string{
		"HOME=" + m.Home, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", TestMachine + "=" + m.Home,
		"ARCADE_USAGE_HOST=" + m.PosthogAt, "ARCADE_USAGE_KEY=phc_test", "BROWSER=" + standIn,
	}, m.Env...)
}

// Command prepares `arcade args...`.
func (m *Machine) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.Program, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = m.Home, m.Environment(), m.User
	return cmd
}

// Install gives the machine a program of its own. It is a hard link: a copy could not be started while a child of another test
// has it open for writing.
func (m *Machine) Install() {
	m.Helper()
	program, err := filepath.EvalSymlinks(m.Program)
	m.Require(err)
	m.Program = filepath.Join(m.TempDir(), "arcade")
	m.Require(os.Chmod(program, 0o755)) // whatever the umask was
	m.Require(os.Link(program, m.Program))
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

// RunWith is Run with a text on standard input.
func (m *Machine) RunWith(stdin string, args ...string) Result {
	m.Helper()
	cmd := m.Command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	return m.Finish(cmd)
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

// AwaitEvents waits until PostHog has n events, after de-duplication, and returns them.
func (m *Machine) AwaitEvents(n int) []outboxtest.Commit {
	m.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.Posthog.AwaitEvents(ctx, n); err != nil {
		m.Fatalf("PostHog has %d of %d events after a minute", len(m.Posthog.Events()), n)
	}
	return m.Posthog.Events()
}

// NoViolations asks PostHog what it saw that a sender must never do.
func (m *Machine) NoViolations() {
	m.Helper()
	for _, v := range m.Posthog.Violations() {
		m.Errorf("PostHog saw: %s", v)
	}
}

// Inspect returns what `usage inspect --json` says.
func (m *Machine) Inspect() cli.Inspection {
	m.Helper()
	return decoded[cli.Inspection](m, "usage", "inspect", "--json", "--limit", "0")
}

// Status returns what `usage status --json` says, whether it ends with 0 or 1.
func (m *Machine) Status() cli.Status {
	m.Helper()
	return decoded[cli.Status](m, "usage", "status", "--json")
}

func decoded[T any](m *Machine, args ...string) (value T) {
	m.Helper()
	m.Require(json.Unmarshal([]byte(m.Run(args...).Stdout), &value))
	return value
}

// ReadFile reads a file in Arcade's directory.
func (m *Machine) ReadFile(name string) string {
	m.Helper()
	content, err := os.ReadFile(m.Path(name))
	m.Require(err)
	return string(content)
}

// WriteCredentials logs in by hand, as a configured CI image would be.
func (m *Machine) WriteCredentials(key string) {
	m.Helper()
	m.Require(os.MkdirAll(m.Path(""), 0o700))
	content := fmt.Sprintf("cloud:\n  api: {key: %s, version: v1}\n  coordinator_url: %s\n", key, m.Cloud.URL)
	m.Require(os.WriteFile(m.Path("credentials.yaml"), []byte(content), 0o600))
}

// Login logs in at the machine's Cloud as the person it has met last.
func (m *Machine) Login() Result {
	m.Helper()
	return m.Must(append([]string{"login"}, At(m.Cloud.URL)...)...)
}

// At are the flags that name a server of this machine.
func At(address string) []string { return []string{"--host", "localhost", "--port", PortOf(address)} }

// PortOf is the port in an address.
func PortOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

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
			if process, err := os.FindProcess(pid); err == nil && pid > 0 {
				process.Signal(syscall.SIGTERM) // for which Windows has nothing: there it leaves by itself
			}
		}
		return len(pids) == 0
	})
}

// Deliverer prepares the process of a flusher, as a command starts it, in the foreground.
func (m *Machine) Deliverer() *exec.Cmd {
	m.Helper()
	cmd := m.Command()
	lease, err := newLease(m.Home)
	m.Require(err)
	lock, err := os.OpenFile(m.Path("usage.db.flusher.lock"), os.O_WRONLY|os.O_CREATE, 0o600) // a flusher only finds it
	m.Require(err)
	lock.Close()
	environment := map[string][]byte{}
	for _, entry := range append(cmd.Env, testLease+"="+lease) {
		name, value, _ := strings.Cut(entry, "=")
		environment[name] = []byte(value)
	}
	content, err := json.Marshal(environment) // as package detach writes it
	m.Require(err)
	cmd.Stdin = bytes.NewReader(content)
	cmd.Env = []string{Flusher, "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}
	return cmd
}

// Account is what a person has at Arcade Cloud: two organizations, and a key, "arc_" and their name.
func Account(name string) identitytest.Person {
	return identitytest.Person{PrincipalID: "principal-" + name, Email: name + "@example.com", Key: "arc_" + name, Orgs: []identitytest.Org{
		{ID: "org_1", Name: "Analytical Engines", Default: true, Projects: []identitytest.Project{
			{ID: "proj_1", Name: "Notes", Default: true}, {ID: "proj_2", Name: "Bernoulli"},
		}},
		{ID: "org_2", Name: "Royal Society", Projects: []identitytest.Project{{ID: "proj_3", Name: "Letters"}}},
	}}
}

// NewCloud starts one more Arcade Cloud. Nobody has an account there, so no login succeeds, and the browser comes back without a code.
func (m *Machine) NewCloud() *identitytest.Cloud {
	m.Helper()
	cloud := identitytest.Start()
	m.Cleanup(cloud.Close)
	cloud.Set(func(b *identitytest.Behaviour) {
		b.RedirectURI = fmt.Sprintf("http://127.0.0.1:%d/callback", m.Callback)
	})
	return cloud
}

// Meet puts a person in front of the browser.
func (m *Machine) Meet(name string) { m.Cloud.Meet(Account(name)) }
