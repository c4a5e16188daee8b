package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// TestASecretIsNowhereButAtTheEngine gives sentinels to the program in every way in which a
// secret can come, lets a server repeat them, and then looks everywhere.
func TestASecretIsNowhereButAtTheEngine(t *testing.T) {
	s := newStage(t)
	s.cloud.meet("engineer")
	s.writeCredentials(engineKey)
	s.env = append(s.env, "ARCADE_API_KEY="+engineKey, "ARCADE_USAGE_DEBUG=1", "TERM=xterm-256color")
	s.posthog.SetFault(fault("commit+hang")) // holds the flusher while the test looks at it
	private := []string{"sentinel", engineKey}

	terminals := s.bringSecrets()
	s.awaitHeldFlusher()
	for _, file := range []string{"cmdline", "environ"} {
		for _, child := range s.flusherFiles(file) {
			wantNone(t, private, "the flusher's "+file, child)
		}
	}
	s.wantNoneInOutbox(private)
	for _, terminal := range terminals {
		wantNone(t, private, "the terminal", terminal)
	}

	s.posthog.SetFault(outboxtest.Fault{})
	s.awaitNoFlusher()
	s.must("usage", "flush")
	s.wantNoneInOutbox(private)
	commits := s.posthog.Commits()
	if events := len(s.posthog.Events()); events != len(terminals) {
		t.Errorf("PostHog has %d events, want one for each of %d commands", events, len(terminals))
	}
	for _, c := range commits {
		wantNone(t, private, "what PostHog got", string(c.Raw))
	}
	var arrived int
	for _, item := range s.engine.Items() {
		if strings.Contains(item.Value, "sentinel") {
			arrived++
		}
	}
	if arrived != 4 {
		t.Errorf("%d sentinels have arrived at the Engine, want 4: else nothing was looked for", arrived)
	}
}

// bringSecrets runs commands that have secrets, and returns what each has printed: the
// sentinels get as far as the Engine, which accepts some and refuses others with their own words.
func (s *stage) bringSecrets() (printed []string) {
	s.Helper()
	env := "FILE=sentinel-in-a-file\nsentinel-without-a-key\nFILE_REFUSED='sentinel # in a file'\n"
	if err := os.WriteFile(filepath.Join(s.home, "my.env"), []byte(env), 0o600); err != nil {
		s.Fatal(err)
	}
	for _, key := range []string{"REFUSED", "FILE_REFUSED"} {
		s.engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 422, Key: key})
	}
	s.engine.Inject(secretstest.Fault{Mode: secretstest.NotHTTP, Key: "GARBLED"})
	s.engine.Inject(secretstest.Fault{Mode: secretstest.BadRedirect, Key: "REDIRECTED"})
	s.engine.Inject(secretstest.Fault{Mode: secretstest.NotJSON, Method: "GET", Times: 1})
	at := []string{"secret", "-h", "localhost", "-p", s.enginePort()}
	run := func(stdin string, args ...string) {
		cmd := s.command(append(at, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		r := s.finish(cmd)
		printed = append(printed, r.stdout+r.stderr)
	}
	run("", "set", "ARGUMENT=sentinel-argument", "REFUSED=sentinel-refused", "GARBLED=sentinel-garbled", "REDIRECTED=sentinel-redirected")
	run("sentinel-stdin\n", "set", "STDIN=-")
	run("", "set", "--from-env", "--env-file", "my.env")
	run("", "list")
	run("", "unset", "sentinel"[:4]) // a key is no secret, so not the whole word
	run("", "set", "KEY", "sentinel-without-a-key")
	run("", "set", "KEY", "--sentinel=without-a-key")
	run("", "set", "=sentinel")
	run("", "sentinel-in-place-of-a-command=")

	terminal := onTerminal(s, 80, s.command(append(at, "set", "PROMPT")...))
	terminal.awaitEcho(false)
	terminal.typed("sentinel-typed\n")
	_, output := terminal.end()
	return append(printed, output)
}

func (s *stage) awaitHeldFlusher() {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	begun := len(s.posthog.Requests())
	held := func() bool {
		requests := s.posthog.Requests()
		return len(requests) > 0 && requests[len(requests)-1].Ended.IsZero()
	}
	// The flusher that was started first gives up after 5 s; the next command starts another.
	for ; !held(); begun = len(s.posthog.Requests()) {
		s.run("succeed")
		if err := s.posthog.Await(ctx, func() bool { return held() || len(s.posthog.Requests()) > begun }); err != nil {
			s.Fatal("no flusher is held by PostHog: ", err)
		}
	}
}

// flusherFiles reads a file in /proc of each process that has the stage's database open.
func (s *stage) flusherFiles(name string) (contents []string) {
	s.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		s.Fatal(err)
	}
	seen := map[string]bool{}
	for _, link := range links {
		process := filepath.Dir(filepath.Dir(link))
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, s.home) || seen[process] {
			continue
		}
		seen[process] = true
		content, err := os.ReadFile(filepath.Join(process, name))
		if err != nil {
			s.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	if len(contents) == 0 {
		s.Errorf("no process has the database open, want a flusher to look at")
	}
	return contents
}

func (s *stage) wantNoneInOutbox(private []string) {
	s.Helper()
	files, err := os.ReadDir(s.path(""))
	if err != nil {
		s.Fatal(err)
	}
	for _, file := range files {
		if file.Name() != "credentials.yaml" { // the key's own place
			wantNone(s, private, file.Name(), s.readFile(file.Name()))
		}
	}
	for _, name := range []string{"usage.db", "usage.json"} {
		s.readFile(name) // fails if it was not among them
	}
}

// wantNone looks for private words as they are, and as JSON or UTF-16 would write them.
func wantNone(t testing.TB, private []string, where, content string) {
	t.Helper()
	for _, word := range private {
		var wide bytes.Buffer
		for _, b := range []byte(word) {
			wide.Write([]byte{b, 0})
		}
		lower := strings.ToLower(content)
		if strings.Contains(lower, word) || strings.Contains(content, wide.String()) {
			t.Errorf("%q is in %s: %q", word, where, content)
		}
	}
}
