//go:build linux

package fire

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
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
	c.loud = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.answers.Load().(func(http.ResponseWriter))(w)
	}))
	t.Cleanup(c.loud.Close)
	c.through(c.loud.URL)
	c.Env = append(c.Env, "ARCADE_USAGE_DEBUG=1", "ARCADE_API_KEY="+secretWord+"-key", "TOKEN="+secretWord,
		"ARCADE_USAGE_HOST=http://posthog.invalid")
	c.Require(os.MkdirAll(c.Path(""), 0o700))
	words := strings.NewReplacer("SECRET", secretWord, "NAME", nameWord, "LOUD", withPassword(c.loud.URL))
	for name, content := range map[string]string{
		".arcade/credentials.yaml": "cloud: {api: {key: SECRET-file, version: v1}, user: {email: NAME@example.com}, coordinator_url: 'LOUD'}\n",
		"NAME.env":                 "KEY=SECRET\n\nSECRET\n",
		"NAME-refused.env":         "-----BEGIN KEY-----\nSECRET/=\nSECRET==\nA=\"SECRET\" SECRET\nB=\u00a0SECRET\nC=\"SECRET",
	} {
		c.Require(os.WriteFile(filepath.Join(c.Home, words.Replace(name)), []byte(words.Replace(content)), 0o600))
	}
	return c
}

// withPassword puts a secret into an address.
func withPassword(address string) string {
	return strings.Replace(address, "http://", "http://user:"+secretWord+"@", 1)
}

// through makes all requests to names that are not this machine's go through a proxy.
func (c *confidant) through(address string) {
	c.Env = append(c.Env, "HTTP_PROXY="+withPassword(address))
}

// says runs a command, with a secret on its standard input, and keeps what it prints.
func (c *confidant) says(args ...string) {
	c.Helper()
	r := c.RunWith(secretWord+"-key\n", args...)
	c.printed = append(c.printed, fmt.Sprintf("arcade %s\n%s%s", args, r.Stdout, r.Stderr))
}

// line is says for the words of a line, in which S stands for the secret and N for the name.
func (c *confidant) line(line string) {
	c.Helper()
	words := strings.Fields(line)
	for i := range words {
		words[i] = strings.NewReplacer("S", secretWord, "N", nameWord).Replace(words[i])
	}
	c.says(words...)
}

// loudAnswers are those of a server that repeats what it knows, in every part of an answer.
func loudAnswers() map[string]func(w http.ResponseWriter) {
	answers := map[string]func(w http.ResponseWriter){
		"a page": func(w http.ResponseWriter) { fmt.Fprint(w, "<html>"+secretWord) },
		"no HTTP": func(w http.ResponseWriter) {
			if connection, _, err := w.(http.Hijacker).Hijack(); err == nil {
				fmt.Fprintf(connection, "%s\r\n\r\n", secretWord)
				connection.Close()
			}
		},
	}
	for _, code := range []int{200, 302, 400, 401, 407, 413, 503} {
		answers[fmt.Sprint(code)] = func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://"+secretWord+"@localhost/"+secretWord)
			w.Header().Set("Retry-After", secretWord)
			w.Header().Set("Www-Authenticate", secretWord)
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"error": %q, "status": %q, "message": %q, "data": {"email": %q}}`, secretWord, secretWord, secretWord, secretWord)
		}
	}
	return answers
}

func TestTortureSecretsStayWhereTheyWere(t *testing.T) {
	t.Parallel()
	t.Run(nameWord, func(t *testing.T) { // the home's path has the name of the test in it
		c := newConfidant(t)
		for name, answer := range loudAnswers() {
			c.answers.Store(answer)
			c.Run("fail", secretWord) // this one may say it: it is what a server said
			c.line("usage flush")
			c.line("usage inspect")
			c.nowhere("after the answer " + name)
		}
		c.every()
		c.toTheEngine()
		usual := c.machine
		c.machine = c.with("ARCADE_USAGE_HOST=http://" + secretWord + "-user:" + secretWord + "-password@posthog.invalid/?token=" + secretWord)
		c.line("usage flush")
		c.line("usage status")
		c.machine = usual
		c.nowhere("after every input")
		c.AwaitNoFlusher()

		// Now the fake PostHog is behind the proxy, and holds a flusher to be looked at.
		c.through(c.Posthog.URL())
		c.Must("usage", "retry")
		c.Must(flushing...) // ends the back-off
		pause := c.Posthog.PauseNext()
		defer pause.Release()
		c.line("succeed S --value=S")
		c.awaitRequest(pause)
		flushers := c.Flushers()
		if len(flushers) != 1 {
			t.Fatalf("flushers %v are at work, want one to look at", flushers)
		}
		for _, file := range []string{"cmdline", "environ"} {
			content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", flushers[0], file))
			c.Require(err)
			for _, entry := range strings.Split(string(content), "\x00") {
				name, _, _ := strings.Cut(entry, "=")
				if ordinary := []string{"HOME", "PATH", "USER", "LANG", "TMPDIR"}; !slices.Contains(ordinary, name) { // HOME is a path
					wantNone(t, private, "the flusher's "+file, entry)
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
	for _, line := range []string{
		"succeed S --value S", "succeed --value=S -- S", "succeed --number S", "succeed --number=S", "succeed --S1", "succeed --S1=S",
		"succeed -nS", "succeed -n=S", "--S1", "-S", "S1", "panic S",
		"usage S1", "usage inspect S", "usage inspect --state S", "usage retry S",
		"whoami S", "whoami", "whoami --json", "login --host user:S@localhost", "logout S", "login --port S", "login --timeout S",
		"secret set KEY=S", "secret set KEY --from-env=S", "secret set --from-env --env-file N.env", "secret set --from-env -f N-missing.env",
		"secret set --from-env -f N-refused.env", "secret set --from-env -f N.env --dry-run", "secret set --from-env -f -",
		"secret get N S", "secret unset N", "secret list",
		"usage status", "usage status --json", "usage inspect --json", "usage export",
	} {
		if strings.HasPrefix(line, "secret") {
			line += " -h localhost -p " + testbed.PortOf(c.Engine.URL)
		}
		c.line(line)
	}
	// Logged out, for the logins that ask somebody.
	c.Must("logout")
	c.answers.Store(loudAnswers()["503"])
	c.line("login --with-key --debug --host localhost --port " + testbed.PortOf(c.loud.URL))
	c.Must("logout")
	c.line("login --no-browser --timeout 10ms --host user:S@localhost")
	c.line("login --no-browser --timeout 10ms --host S@localhost")
}

// toTheEngine brings values as far as the Engine, in every way but one: the hidden question needs a terminal, see
// TestAKeyWithoutAValueIsAskedForHidden of package e2e. The Engine takes some and refuses others with their own words.
func (c *confidant) toTheEngine() {
	c.Helper()
	usual := c.machine
	defer func() { c.machine = usual }()
	c.machine = c.with("ARCADE_API_KEY=" + testbed.EngineKey)
	c.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 422, Key: "REFUSED"})
	c.Engine.Inject(secretstest.Fault{Mode: secretstest.NotHTTP, Key: "GARBLED"})
	c.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 307, Location: "http://[" + secretWord, Key: "REDIRECTED"})
	at := append([]string{"secret", "set"}, testbed.At(c.Engine.URL)...)
	for _, args := range [][]string{
		{"ARGUMENT=" + secretWord, "REFUSED=" + secretWord, "GARBLED=" + secretWord, "REDIRECTED=" + secretWord},
		{"STDIN=-"},
		{"--from-env", "--env-file", nameWord + ".env"},
		{"--from-env", "--env-file", nameWord + "-refused.env"},
	} {
		c.says(append(at, args...)...)
	}
	for _, request := range c.Engine.Requests() { // an address ends up in logs
		wantNone(c, private, "the address of a request to the Engine", request.Path+"?"+request.Query)
	}
	arrived := 0
	for _, item := range c.Engine.Items() {
		if strings.HasPrefix(item.Value, secretWord) {
			arrived++
		}
	}
	if arrived != 3 {
		c.Errorf("%d values have arrived at the Engine, want 3: else nothing was looked for", arrived)
	}
}

// nowhere looks at every file beside the database, and at all that was printed.
func (c *confidant) nowhere(when string) {
	c.Helper()
	entries, err := os.ReadDir(c.Path(""))
	c.Require(err)
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
	for _, commit := range c.Posthog.Commits() {
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
	if left := c.Inspect().Counts; left.Pending > 0 {
		c.Errorf("left are %+v", left)
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
		if strings.Contains(strings.ToLower(content), word) || strings.Contains(content, wide.String()) {
			t.Errorf("%q is in %s: %q", word, where, content)
		}
	}
}
