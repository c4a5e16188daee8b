package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// machine is a computer with a home of its own, a PostHog and an Arcade Cloud.
type machine struct {
	testing.TB
	home    string
	posthog *outboxtest.Server
	cloud   *fakeCloud
	// posthogAt is PostHog's address, which stays the same while nobody listens.
	posthogAt string
	env       []string // on top of the usual
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{TB: t, home: t.TempDir(), posthog: outboxtest.Start(t), cloud: newFakeCloud(t)}
	m.posthogAt = m.posthog.URL()
	t.Cleanup(m.awaitNoFlusher) // a flusher that outlives the test would write into a removed home
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.home, ".arcade", name) }

// command prepares `arcade args...` in an environment that holds nothing of the test's own.
func (m *machine) command(args ...string) *exec.Cmd {
	m.Helper()
	program, err := exec.LookPath("arcade")
	if err != nil {
		m.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = m.home
	cmd.Env = append([]string{
		"HOME=" + m.home, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", testMachine + "=" + m.home,
		"ARCADE_USAGE_HOST=" + m.posthogAt, "ARCADE_USAGE_KEY=phc_test",
	}, m.env...)
	return cmd
}

// result is how a process ended.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

func (m *machine) run(args ...string) result {
	m.Helper()
	return m.finish(m.command(args...))
}

func (m *machine) finish(cmd *exec.Cmd) result {
	m.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if cmd.ProcessState == nil {
		m.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), took}
}

// must runs a command that has to succeed.
func (m *machine) must(args ...string) result {
	m.Helper()
	r := m.run(args...)
	if r.code != 0 {
		m.Fatalf("arcade %v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// offline makes nobody listen at PostHog's address.
func (m *machine) offline() {
	m.posthogAt = m.posthog.URL()
	m.posthog.Close()
}

func (m *machine) online() {
	m.Helper()
	if err := m.posthog.Listen(strings.TrimPrefix(m.posthogAt, "http://")); err != nil {
		m.Fatal(err)
	}
}

// login logs in at the fake Arcade Cloud as the person it has been told about last.
func (m *machine) login() result {
	m.Helper()
	m.env = append(m.env, fmt.Sprintf("%s=%d", testCallback, freePort(m)))
	return m.must("login", "--host", "localhost", "--port", m.cloud.port())
}

func freePort(tb testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// inspect returns what `usage inspect --json` says.
func (m *machine) inspect() (found inspection) {
	m.Helper()
	if err := json.Unmarshal([]byte(m.must("usage", "inspect", "--json", "--limit", "0").stdout), &found); err != nil {
		m.Fatal(err)
	}
	return found
}

func (m *machine) status() (st status) {
	m.Helper()
	if err := json.Unmarshal([]byte(m.must("usage", "status", "--json").stdout), &st); err != nil {
		m.Fatal(err)
	}
	return st
}

// awaitEvents waits until PostHog has n events, after de-duplication, and returns them.
func (m *machine) awaitEvents(n int, within time.Duration) []outboxtest.Commit {
	m.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := m.posthog.AwaitEvents(ctx, n); err != nil {
		m.Fatalf("PostHog has %d of %d events after %s", len(m.posthog.Events()), n, within)
	}
	return m.posthog.Events()
}

// awaitNoFlusher waits for the end of the flusher that a command may have left behind, also of
// one that has not come to its lock yet.
func (m *machine) awaitNoFlusher() {
	m.Helper()
	box := outbox.New(outbox.Config{Path: m.path("usage.db"), Now: time.Now})
	m.eventually("the flusher is gone", func() bool {
		return len(m.flushers()) == 0 && m.leased() == 0 && !box.FlusherRunning()
	})
}

// flushers returns the process ids of this machine's flushers, where /proc tells.
func (m *machine) flushers() (pids []string) {
	mark := []byte(testMachine + "=" + m.home + "\x00")
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		m.Fatal(err)
	}
	for _, name := range environs {
		pid := filepath.Base(filepath.Dir(name))
		line, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline")) // a process may end at any moment
		if environ, _ := os.ReadFile(name); bytes.Contains(append(environ, 0), mark) && bytes.Contains(line, []byte("--detached")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually waits for a condition, for longer than a flusher lives.
func (m *machine) eventually(what string, condition func() bool) {
	m.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.Errorf("it did not come true that %s", what)
			return
		}
	}
}

func (m *machine) noViolations() {
	m.Helper()
	for _, v := range m.posthog.Violations() {
		m.Errorf("PostHog saw: %s", v)
	}
}

// query reads one value from the database as it lies on disk.
func (m *machine) query(statement string, args ...any) (value string) {
	m.Helper()
	db, err := sql.Open("sqlite", "file:"+m.path("usage.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		m.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(statement, args...).Scan(&value); err != nil {
		m.Fatalf("%s: %v", statement, err)
	}
	return value
}

// fakeCloud is Arcade Cloud as far as a CLI sees it. It knows one person at a time.
type fakeCloud struct {
	*httptest.Server
	mu     sync.Mutex
	people map[string]string // principal by API key
	person string            // who is in front of the browser
	silent bool              // no answer to API calls, until the client gives up
	asked  int               // API calls
}

func newFakeCloud(t testing.TB) *fakeCloud {
	c := &fakeCloud{people: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/auth/cli_login", c.login)
	mux.HandleFunc("GET /api/v1/auth/validate", c.validate)
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *fakeCloud) port() string {
	return strconv.Itoa(c.Listener.Addr().(*net.TCPAddr).Port)
}

// meet puts a person in front of the browser; their key is "arc_" and their name. Before that
// nobody logs in there, and the browser comes back without a key.
func (c *fakeCloud) meet(person string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.person = person
	c.people["arc_"+person] = "principal-" + person
}

// hang makes Cloud leave API calls unanswered, or answer them again.
func (c *fakeCloud) hang(silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = silent
}

func (c *fakeCloud) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *fakeCloud) login(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	query := url.Values{"state": {r.FormValue("state")}}
	if c.person != "" {
		query.Set("api_key", "arc_"+c.person)
		query.Set("email", c.person+"@example.com")
	}
	http.Redirect(w, r, r.FormValue("callback_uri")+"?"+query.Encode(), http.StatusFound)
}

func (c *fakeCloud) validate(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked++
	silent := c.silent
	principal, known := c.people[bearer(r)]
	c.mu.Unlock()
	switch {
	case silent:
		<-r.Context().Done()
	case !known:
		http.Error(w, "no", http.StatusUnauthorized)
	default:
		fmt.Fprintf(w, `{"data":{"principal_id":%q}}`, principal)
	}
}

func bearer(r *http.Request) string {
	const prefix = "Bearer "
	return r.Header.Get("Authorization")[len(prefix):]
}

func fault(name string) outboxtest.Fault { return outboxtest.MustFault(name) }

// writeCredentials logs in by hand, as a configured CI image would be.
func (m *machine) writeCredentials(key string) {
	m.Helper()
	if err := os.MkdirAll(m.path(""), 0o700); err != nil {
		m.Fatal(err)
	}
	content := fmt.Sprintf("cloud:\n  api: {key: %s, version: v1}\n  coordinator_url: %s\n", key, m.cloud.URL)
	if err := os.WriteFile(m.path("credentials.yaml"), []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) readFile(name string) string {
	m.Helper()
	content, err := os.ReadFile(m.path(name))
	if err != nil {
		m.Fatal(err)
	}
	return string(content)
}

// isPrivate tells whether only its owner can read a file. On Windows that is up to the home's
// access list, which the file inherits.
func isPrivate(info os.FileInfo) bool {
	return info.Mode().Perm() == 0o600 || runtime.GOOS == "windows"
}
