package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

func TestTheNameOfAContextIsAWord(t *testing.T) {
	t.Parallel()
	m := untracked(t)
	for _, name := range []string{"with blanks", strings.Repeat("a", 65), "123", "~", "-x", "a\nb", "ë"} {
		r := m.Run("login", "--context="+name)
		if r.Code != 1 || !strings.HasPrefix(r.Stderr, "Error: a context's name is a word of letters") {
			t.Errorf("%.20q: %+v; want it refused", name, r)
		}
	}
}

// A key that cannot be used is no reason to fall back on the login, and none to take its owner for the user.
func TestAKeyThatCannotBeUsedIsNobodys(t *testing.T) {
	t.Parallel()
	m := loggedIn(t)
	const unusable = "Warning: the key in ARCADE_API_KEY cannot be used: "
	const inForce = "ARCADE_API_KEY is still set: commands go on using that key."
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
		anonymous := event.DistinctID == nil || *event.DistinctID == found.Identity.AnonID
		if anonymous != c.anonymous || strings.Contains(string(event.Properties), "org_1") == c.anonymous {
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
		agent, version := header.Get("User-Agent"), header.Get("X-Arcade-CLI-Version")
		if agent != "arcade-cli-go/dev" || version != "dev" {
			t.Errorf("%s was asked by %q of the version %q, want arcade-cli-go/dev and dev", who, agent, version)
		}
	}
}
