//go:build linux

package fire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// Two kinds of private words: secrets, which may be seen nowhere at all, and names (of people,
// places and files), which may be said to the user in front of the terminal and to nobody else.
const (
	secretWord = "hushhush"
	nameWord   = "whereabouts"
)

// private is what may be nowhere that others can look.
var private = []string{secretWord, nameWord}

// confidant is a machine whose every input holds a private word, its home's path included.
type confidant struct {
	*machine
	loud    *httptest.Server // says secrets, whoever asks what
	answers atomic.Value     // func(http.ResponseWriter): how it says them
	printed []string
}

func newConfidant(t *testing.T) *confidant {
	t.Helper()
	c := &confidant{machine: newMachine(t)}
	if !strings.Contains(c.Home, nameWord) {
		t.Fatalf("the home %s has no private word in it", c.Home)
	}
	c.loud = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answers.Load().(func(http.ResponseWriter))(w) }))
	t.Cleanup(c.loud.Close)
	c.through(c.loud.URL)
	c.Env = append(c.Env, testbed.TestAsIs+"=1", "ARCADE_USAGE_DEBUG=1",
		"ARCADE_API_KEY="+secretWord+"-key", "TOKEN="+secretWord,
		"ARCADE_USAGE_HOST=http://posthog.invalid")
	credentials := fmt.Sprintf("cloud:\n  api: {key: %s-file, version: v1}\n  user: {email: %s@example.com}\n  coordinator_url: %s\n",
		secretWord, nameWord, strings.Replace(c.loud.URL, "http://", "http://user:"+secretWord+"@", 1))
	envFile := "KEY=" + secretWord + "\n\n" + secretWord + "\n"
	refused := "-----BEGIN KEY-----\n" + secretWord + "/=\n" + secretWord + "==\nA=\"" + secretWord + "\" " + secretWord + "\nB=\u00a0" + secretWord + "\nC=\"" + secretWord
	for path, content := range map[string]string{
		c.Path("credentials.yaml"): credentials, filepath.Join(c.Home, nameWord+".env"): envFile, filepath.Join(c.Home, nameWord+"-refused.env"): refused,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// through makes all requests to names that are not this machine's go through a proxy.
func (c *confidant) through(address string) {
	c.Env = append(c.Env, "HTTP_PROXY="+strings.Replace(address, "http://", "http://user:"+secretWord+"@", 1))
}

// says runs a command and keeps what it prints.
func (c *confidant) says(stdin string, args ...string) {
	c.Helper()
	cmd := c.Command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	r := c.Finish(cmd)
	c.printed = append(c.printed, fmt.Sprintf("arcade %s\n%s%s", args, r.Stdout, r.Stderr))
}

// loudAnswers are those of a server that repeats what it knows, in every part of an answer.
func loudAnswers() map[string]func(w http.ResponseWriter) {
	status := func(code int) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://"+secretWord+"@localhost/"+secretWord)
			w.Header().Set("Retry-After", secretWord)
			w.Header().Set("Www-Authenticate", secretWord)
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"error": %q, "status": %q, "message": %q, "data": {"email": %q}}`, secretWord, secretWord, secretWord, secretWord)
		}
	}
	return map[string]func(w http.ResponseWriter){
		"200": status(200), "302": status(302), "400": status(400), "401": status(401), "407": status(407), "413": status(413), "503": status(503),
		"a page": func(w http.ResponseWriter) { fmt.Fprint(w, "<html>"+secretWord) },
		"no HTTP": func(w http.ResponseWriter) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				fmt.Fprintf(connection, "%s\r\n\r\n", secretWord)
				connection.Close()
			}
		},
	}
}

func TestTortureSecretsStayWhereTheyWere(t *testing.T) {
	t.Parallel()
	t.Run(nameWord, func(t *testing.T) { // the home's path has the name of the test in it
		c := newConfidant(t)
		for name, answer := range loudAnswers() {
			c.answers.Store(answer)
			c.says("", "fail", secretWord) // this one may say it: it is what a server said
			c.printed = c.printed[:len(c.printed)-1]
			c.says("", "usage", "flush")
			c.says("", "usage", "inspect")
			c.nowhere("after the answer " + name)
		}
		c.every()
		usual := c.machine
		c.machine = c.with("ARCADE_USAGE_HOST=http://" + secretWord + "-user:" + secretWord + "-password@posthog.invalid/?token=" + secretWord)
		c.says("", "usage", "flush")
		c.says("", "usage", "status")
		c.machine = usual
		c.nowhere("after every input")
		c.quiet()

		// Now the fake PostHog is behind the proxy, and holds a flusher to be looked at.
		c.through(c.Posthog.URL())
		c.Must("usage", "retry")
		c.Must(flushing...) // ends the back-off
		pause := c.Posthog.PauseNext(outboxtest.AfterCommit)
		defer pause.Release()
		c.says("", "succeed", secretWord, "--value="+secretWord)
		c.awaitRequest(pause)
		for _, file := range []string{"cmdline", "environ"} {
			for _, content := range c.flusherFiles(file) {
				for _, entry := range strings.Split(content, "\x00") {
					if name, _, found := strings.Cut(entry, "="); !found || !isOrdinary(name) { // HOME is a path
						wantNone(t, private, "the flusher's "+file, entry)
					}
				}
			}
		}
		c.nowhere("while a flusher is at work")
		pause.Release()
		c.Must(flushing...)
		c.nowhere("after the delivery")
		c.wire()
	})
}

// every gives private words to every kind of input.
func (c *confidant) every() {
	c.Helper()
	c.answers.Store(loudAnswers()["401"])
	engine := []string{"-h", "localhost", "-p", testbed.PortOf(c.Engine.URL)}
	for _, args := range [][]string{
		{"succeed", secretWord, "--value", secretWord},
		{"succeed", "--value=" + secretWord, "--", secretWord},
		{"succeed", "--number", secretWord},
		{"succeed", "--number=" + secretWord},
		{"succeed", "--" + secretWord + "1"},
		{"succeed", "--" + secretWord + "1=" + secretWord},
		{"succeed", "-n" + secretWord},
		{"succeed", "-n=" + secretWord},
		{"--" + secretWord + "1"},
		{"-" + secretWord},
		{secretWord + "1"},
		{"usage", secretWord + "1"},
		{"usage", "inspect", secretWord},
		{"usage", "inspect", "--state", secretWord},
		{"usage", "retry", secretWord},
		{"panic", secretWord},
		{"whoami", secretWord},
		{"whoami"},
		{"whoami", "--json"},
		{"login", "--host", "user:" + secretWord + "@localhost"},
		{"logout", secretWord},
		{"login", "--port", secretWord},
		{"login", "--timeout", secretWord},
		append([]string{"secret", "set", "KEY=" + secretWord}, engine...),
		append([]string{"secret", "set", "KEY", "--from-env=" + secretWord}, engine...),
		append([]string{"secret", "set", "--from-env", "--env-file", nameWord + ".env"}, engine...),
		append([]string{"secret", "set", "--from-env", "-f", nameWord + "-missing.env"}, engine...),
		append([]string{"secret", "set", "--from-env", "-f", nameWord + "-refused.env"}, engine...),
		append([]string{"secret", "set", "--from-env", "-f", nameWord + ".env", "--dry-run"}, engine...),
		append([]string{"secret", "set", "--from-env", "-f", "-"}, engine...),
		append([]string{"secret", "get", nameWord, secretWord}, engine...),
		append([]string{"secret", "unset", nameWord}, engine...),
		append([]string{"secret", "list"}, engine...),
		{"usage", "status"},
		{"usage", "status", "--json"},
		{"usage", "inspect", "--json"},
		{"usage", "export"},
	} {
		c.says(secretWord, args...)
	}
	c.toTheEngine()
	// Logged out, for the logins that ask somebody.
	c.Must("logout")
	c.answers.Store(loudAnswers()["503"])
	c.says(secretWord+"-key\n", "login", "--with-key", "--debug", "--host", "localhost", "--port", testbed.PortOf(c.loud.URL))
	c.Must("logout")
	c.says("", "login", "--no-browser", "--timeout", "10ms", "--host", "user:"+secretWord+"@localhost")
	c.says("", "login", "--no-browser", "--timeout", "10ms", "--host", secretWord+"@localhost")
}

// toTheEngine brings values as far as the Engine, in every way in which they can come. It takes some
// and refuses others with their own words.
func (c *confidant) toTheEngine() {
	c.Helper()
	before := c.Env
	defer func() { c.Env = before }()
	c.Env = append(c.Env, "ARCADE_API_KEY="+testbed.EngineKey)
	c.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 422, Key: "REFUSED"})
	c.Engine.Inject(secretstest.Fault{Mode: secretstest.NotHTTP, Key: "GARBLED"})
	c.Engine.Inject(secretstest.Fault{Mode: secretstest.BadRedirect, Key: "REDIRECTED"})
	at := []string{"secret", "set", "-h", "localhost", "-p", testbed.PortOf(c.Engine.URL)}
	for _, args := range [][]string{
		{"ARGUMENT=" + secretWord, "REFUSED=" + secretWord, "GARBLED=" + secretWord, "REDIRECTED=" + secretWord},
		{"STDIN=-"},
		{"--from-env", "--env-file", nameWord + ".env"},
		{"--from-env", "--env-file", nameWord + "-refused.env"},
	} {
		c.says(secretWord, append(at, args...)...)
	}
	terminal := testbed.OnTerminal(c, 80, c.Command(append(at, "PROMPT")...))
	terminal.AwaitEcho(false)
	terminal.Typed(secretWord + "\n")
	_, output := terminal.End()
	c.printed = append(c.printed, "arcade secret set PROMPT\n"+output)
	for _, request := range c.Engine.Requests() { // an address ends up in logs
		wantNone(c, private, "the address of a request to the Engine", request.Path+"?"+request.Query)
	}
	arrived := 0
	for _, item := range c.Engine.Items() {
		if item.Value == secretWord {
			arrived++
		}
	}
	if arrived != 4 {
		c.Errorf("%d values have arrived at the Engine, want 4: else nothing was looked for", arrived)
	}
}

// quiet waits for the flushers, which carry no mark of the tests.
func (c *confidant) quiet() {
	c.Helper()
	c.Eventually("no flusher is at work", func() bool { return !c.Status().Flusher })
}

// nowhere looks at every file beside the database, and at all that was printed.
func (c *confidant) nowhere(when string) {
	c.Helper()
	entries, err := os.ReadDir(c.Path(""))
	if err != nil {
		c.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(c.Path(entry.Name()))
		if entry.Name() != "credentials.yaml" && err == nil { // the key's own place; a WAL may go meanwhile
			wantNone(c, private, entry.Name()+" "+when, string(content))
		}
	}
	for _, text := range c.printed {
		command, output, _ := strings.Cut(text, "\n")
		wantNone(c, []string{secretWord}, command+" on the terminal", output)
	}
}

// wire looks at what PostHog got, which must be every event, or nothing was looked for.
func (c *confidant) wire() {
	c.Helper()
	commits := c.Posthog.Commits()
	for _, commit := range commits {
		wantNone(c, private, "what PostHog got", string(commit.Raw))
	}
	commands := map[string]bool{}
	for _, e := range c.Posthog.Events() {
		commands[fmt.Sprint(e.Properties()["command_name"])] = true
	}
	for _, name := range []string{"fail", "succeed", "panic", "login", "logout", "whoami", "secret.set", "secret.unset", "root"} {
		if !commands[name] {
			c.Errorf("no event of %q has arrived: nothing was looked for", name)
		}
	}
	if left, err := json.Marshal(c.Inspect().Counts); err != nil || c.pending() > 0 {
		c.Errorf("left are %s, %v", left, err)
	}
}

// flusherFiles reads a file in /proc of each process that has the stage's database open.
func (s *machine) flusherFiles(name string) (contents []string) {
	s.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		s.Fatal(err)
	}
	seen := map[string]bool{}
	for _, link := range links {
		process := filepath.Dir(filepath.Dir(link))
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, s.Home) || seen[process] {
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
