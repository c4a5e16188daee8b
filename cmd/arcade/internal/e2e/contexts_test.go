package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// A self-hosted context: nothing goes to arcade.dev, and an event says nothing of its account.
func TestASelfHostedContextKeepsToItself(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Machine = m.Production()
	onprem := m.onprem()
	m.Must("login", "--url", onprem.URL, "--context", "onprem")
	m.Must("whoami")
	m.Must("org", "list")
	m.Must("project", "set", "proj_2")
	m.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 401})
	m.Run("secret", "set", "DB=x")
	withKey := m.with("ARCADE_API_KEY=" + testbed.EngineKey)
	withKey.Run("secret", "list")
	withKey.Run("whoami")
	m.Must("logout")
	m.Must("usage", "flush")
	events := m.AwaitEvents(8)
	for _, e := range events {
		if e.DistinctID != events[0].DistinctID || strings.HasPrefix(e.DistinctID, "principal") || e.IsAlias() {
			t.Errorf("%s is %s's; want all of them as the same anon id, and no alias", e.Event, e.DistinctID)
		}
		for _, private := range []string{"org_", "proj_", "principal", "corp.example"} {
			if strings.Contains(string(e.Raw), private) {
				t.Errorf("an event says %q: %s", private, e.Raw)
			}
		}
	}
	if n := m.Cloud.Calls() + m.Cloud.Count(identitytest.ConfigPath); n != 0 {
		t.Errorf("%d requests came to cloud.arcade.dev", n)
	}
	for _, r := range m.Engine.Requests() {
		if r.Authorization == "Bearer "+testbed.EngineKey {
			t.Errorf("a key went to api.arcade.dev: %+v", r)
		}
	}
}

// The home stays linked to the login at Arcade Cloud, whose organization is none of the installation's.
func TestALinkedHomeIsNotTouchedByASelfHostedContext(t *testing.T) {
	t.Parallel()
	m, _ := both(t) // the login to Arcade Cloud has linked it
	m.Must("whoami")
	m.Must("context", "set", "default")
	m.Must("whoami")
	m.Must("context", "set", "onprem")
	m.Must("logout")
	m.Must("usage", "flush")
	byID, aliases := map[string][]string{}, 0
	for _, e := range m.Posthog.Events() {
		if e.IsAlias() {
			aliases++
			continue
		}
		byID[e.DistinctID] = append(byID[e.DistinctID], commandOf(e))
		if commandOf(e) == "logout" && strings.Contains(string(e.Raw), "org_") {
			t.Errorf("the logout has the organization of the login that is left: %s", e.Raw)
		}
	}
	if got := strings.Join(byID["principal-ada"], " "); got != "login context.set whoami" {
		t.Errorf("Ada's events are %q; want those outside of the self-hosted context", got)
	}
	if len(byID) != 2 || aliases != 1 || *m.Inspect().Identity.LinkedPrincipalID != "principal-ada" {
		t.Errorf("events by id: %v, %d aliases; want the rest as the anon id, and the home linked as before", byID, aliases)
	}
}

func TestDiscoveryThatIsNoneIsSaidSoAndNothingIsKept(t *testing.T) {
	t.Parallel()
	m := untracked(t)
	const nothing, unsafe = "Error: this server does not tell where its Arcade is", "Error: --url, and what is found there"
	for content, says := range map[string]string{
		"<html><body>hello": nothing, "{}": nothing, "[]": nothing, `{"engine": "` + strings.Repeat("x", 10<<20) + `"}`: nothing,
		`{"engine": "http://engine.example", "coordinator": "https://cloud.example"}`: unsafe,
		`{"engine": "https://engine.example", "coordinator": "http://cloud.example"}`: unsafe,
		`{"engine": "https://u:p@engine.example"}`:                                    unsafe, `{"engine": ":"}`: unsafe,
		`{"engine": "https://engine.example"}`: "Error: this installation has no Arcade Cloud",
		"":                                     "Error: the installation was not found at --url", // a redirect
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if content == "" {
				http.Redirect(w, r, m.Cloud.URL, http.StatusFound)
			}
			_, _ = io.WriteString(w, content)
		}))
		r := m.Run("login", "--url", server.URL)
		server.Close()
		if r.Code != 1 || !strings.HasPrefix(r.Stderr, says) || strings.Count(r.Stderr, "\n") != 2 {
			t.Errorf("%.80s: %+v; want one sentence, %q, and what to do", content, r, says)
		}
	}
	for _, address := range []string{
		"http://corp.example", "https://u:p@corp.example", "ftp://corp.example", "https://", "https://corp.example?x=y", "https://a b/",
	} {
		if r := m.Run("login", "--url", address); r.Code != 1 || !strings.HasPrefix(r.Stderr, unsafe) {
			t.Errorf("%q: %+v", address, r)
		}
	}
	for _, name := range []string{"with blanks", "a.b", strings.Repeat("a", 10<<10), "123", "null", "~", "-x", "a\nb", "ë"} {
		if r := m.Run("login", "--context="+name); r.Code != 1 || !strings.HasPrefix(r.Stderr, "Error: a context's name is a word of letters") {
			t.Errorf("%.20q: %+v", name, r)
		}
	}
	if _, err := os.Stat(m.Path("")); err == nil {
		t.Error("something was written")
	}
}

// A key that cannot be used is no reason to fall back on the login, and none to take its owner for the user.
func TestAKeyThatCannotBeUsedIsNobodys(t *testing.T) {
	t.Parallel()
	m := loggedIn(t)
	const unusable, inForce = "Warning: the key in ARCADE_API_KEY cannot be used: ", "ARCADE_API_KEY is still set: commands go on using that key."
	for name, c := range map[string]struct {
		key       string
		context   string // ARCADE_CONTEXT, which beats a key
		anonymous bool
		notes     string // how a logout speaks of it
	}{
		"no key":                  {"", "", false, ""},
		"blanks":                  {" \t ", "", false, ""},
		"a control character":     {"arc\x01x", "", true, unusable},
		"quotes":                  {`"arc_x"`, "", true, unusable + "there are quotes"},
		"its name":                {"ARCADE_API_KEY=arc_x", "", true, unusable},
		"one longer than any is":  {strings.Repeat("x", 5000), "", true, unusable},
		"quotes, and a context":   {`"arc_x"`, "default", false, ""},
		"a key that can be used":  {"arc_x", "", true, inForce},
		"a key beside a context":  {"arc_x", "default", false, ""},
		"a key with its line end": {"arc_x\r\n", "", true, inForce},
	} {
		m.with("ARCADE_API_KEY="+c.key, "ARCADE_CONTEXT="+c.context).Run("succeed")
		found := m.Inspect()
		event := found.Messages[len(found.Messages)-1]
		if anonymous := event.DistinctID == nil || *event.DistinctID == found.Identity.AnonID; anonymous != c.anonymous ||
			strings.Contains(string(event.Properties), "org_1") == c.anonymous {
			t.Errorf("%s: the event is %v's and says %s; want it to be anonymous: %v", name, event.DistinctID, event.Properties, c.anonymous)
		}
		if c.context != "" {
			continue
		}
		r := untracked(t).with("ARCADE_API_KEY=" + c.key).Run("logout")
		if r.Code != 0 || !strings.HasPrefix(r.Stderr, c.notes) || (c.notes == "") != (r.Stderr == "") {
			t.Errorf("%s: logout says %q; want %q", name, r.Stderr, c.notes)
		}
	}
}

// Arcade's staff tells the versions apart by it, and this program from the Python one.
func TestRequestsToArcadeSayWhoAsks(t *testing.T) {
	t.Parallel()
	m := loggedIn(t)
	m.Must("org", "list")
	said := map[string]http.Header{}
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said["the Engine"] = r.Header.Clone()
		io.WriteString(w, `{"items": []}`)
	}))
	defer engine.Close()
	m.Must(append([]string{"secret", "list"}, testbed.At(engine.URL)...)...)
	for _, path := range []string{identitytest.ConfigPath, identitytest.TokenPath, identitytest.WhoAmIPath, identitytest.OrgsPath} {
		said[path] = m.Cloud.Header(path)
	}
	m.WriteCredentials("arc_somebody") // a flusher asks whose that is
	m.Must("succeed")
	m.Eventually("Arcade Cloud is asked", func() bool { return m.Cloud.Count(identitytest.ValidatePath) > 0 })
	said["a flusher"] = m.Cloud.Header(identitytest.ValidatePath)
	for who, header := range said {
		if agent, version := header.Get("User-Agent"), header.Get("X-Arcade-CLI-Version"); agent != "arcade-cli-go/dev" || version != "dev" {
			t.Errorf("%s was asked by %q of the version %q, want arcade-cli-go/dev and dev", who, agent, version)
		}
	}
}
