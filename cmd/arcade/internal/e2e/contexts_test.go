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
)

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
	asked := make(chan http.Header, 1)
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Clone()
		io.WriteString(w, `{"items": []}`)
	}))
	defer engine.Close()
	m.Must(append([]string{"secret", "list"}, testbed.At(engine.URL)...)...)
	said := map[string]http.Header{"the Engine": <-asked}
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
