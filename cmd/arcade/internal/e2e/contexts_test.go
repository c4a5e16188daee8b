package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// onprem is an installation of Ada's company, where she is known by another id.
func (m *machine) onprem() *identitytest.Cloud {
	m.Helper()
	ada := testbed.Ada()
	ada.PrincipalID, ada.Email = "principal-onprem", "ada@corp.example"
	cloud := m.OAuth(ada)
	cloud.Set(func(b *identitytest.Behaviour) { b.Engine = m.Engine.URL })
	return cloud
}

// both is a machine that is logged in to Arcade Cloud, and then to the installation.
func both(t *testing.T) (m *machine, cloud, onprem *identitytest.Cloud) {
	t.Helper()
	m, cloud = loggedIn(t)
	onprem = m.onprem()
	m.Must("login", "--url", onprem.URL+"/", "--context", "onprem")
	return m, cloud, onprem
}

func TestContextsAreListedShownAndChosen(t *testing.T) {
	t.Parallel()
	m, cloud, onprem := both(t)
	var items []cli.ListedContext
	if err := json.Unmarshal([]byte(m.Must("context", "list", "--json").Stdout), &items); err != nil {
		t.Fatal(err)
	}
	if len(items) != 2 || items[0].Name != "default" || items[0].Kind != "cloud" || items[0].Active ||
		items[1].Name != "onprem" || items[1].Kind != "self_hosted" || !items[1].Active || *items[1].EngineURL != m.Engine.URL || *items[1].CloudURL != onprem.URL {
		t.Errorf("the contexts are %+v; want both, the last login the active one", items)
	}
	if r := m.Must("context", "list"); r.Stdout != "NAME\tKIND\tENGINE\tACTIVE\ndefault\tcloud\thttp://localhost:9099\t\nonprem\tself-hosted\t"+m.Engine.URL+"\tyes\n" {
		t.Errorf("in a pipe the list is %q", r.Stdout)
	}
	if r := m.Must("context"); r.Stdout != "onprem\n" {
		t.Errorf("the active one is %q", r.Stdout)
	}
	if r := m.Must("whoami"); !strings.Contains(r.Stdout, "Context:      onprem") || !strings.Contains(r.Stdout, "ada@corp.example") {
		t.Errorf("whoami says %q; want the context, there are two", r.Stdout)
	}
	if r := m.With("ARCADE_CONTEXT=default").Must("whoami", "--json"); !strings.Contains(r.Stdout, `"context": "default"`) || !strings.Contains(r.Stdout, "ada@example.com") {
		t.Errorf("with ARCADE_CONTEXT whoami says %q", r.Stdout)
	}
	if r := m.Must("context", "use", "default"); r.Stdout != "The context default is active now.\n" {
		t.Errorf("it says %q", r.Stdout)
	}
	if r := m.Must("org", "list"); !strings.Contains(r.Stdout, "org_1") || cloud.Count(identitytest.OrgsPath) == 0 {
		t.Errorf("the organizations are %q; want those of the context that is active now", r.Stdout)
	}
	var shown cli.ListedContext
	if err := json.Unmarshal([]byte(m.Must("context", "show", "onprem", "--json").Stdout), &shown); err != nil || shown.Name != "onprem" || shown.Active {
		t.Errorf("it shows %+v, %v", shown, err)
	}
	if r := m.Must("context", "show"); !strings.Contains(r.Stdout, "default") || !strings.Contains(r.Stdout, "yes") {
		t.Errorf("it shows %q", r.Stdout)
	}
	for _, name := range []string{"nowhere", "", " ", "Default"} {
		for _, args := range [][]string{{"context", "set", name}, {"context", "show", name}} {
			if name == "" && args[1] == "show" {
				continue // the active one
			}
			if r := m.Run(args...); r.Code != 1 || r.Stderr != "Error: there is no context of this name.\nThere are: default, onprem.\n" {
				t.Errorf("%q: %+v", args, r)
			}
		}
	}
	if r := m.Must("__complete", "context", "set", "o"); !strings.HasPrefix(r.Stdout, "onprem\t") {
		t.Errorf("completion offers %q", r.Stdout)
	}
	if r := m.Must("__complete", "login", "--context", ""); !strings.Contains(r.Stdout, "default\t") || !strings.Contains(r.Stdout, "onprem\t") {
		t.Errorf("completion of --context offers %q", r.Stdout)
	}
}

func TestALogoutIsOfOneContextOrOfAll(t *testing.T) {
	t.Parallel()
	m, _, _ := both(t)
	if r := m.Must("logout"); !strings.HasPrefix(r.Stdout, "You are logged out of the context onprem. Left: default; default is active now.\n") {
		t.Errorf("it says %q", r.Stdout)
	}
	if r := m.Must("whoami"); !strings.Contains(r.Stdout, "ada@example.com") || strings.Contains(r.Stdout, "Context:") {
		t.Errorf("whoami says %q; want the other login, and no context where there is one", r.Stdout)
	}
	onprem := m.onprem()
	m.Must("login", "--url", onprem.URL, "--context", "onprem")
	if r := m.Must("logout", "--all"); !strings.HasPrefix(r.Stdout, "You are logged out.\n") {
		t.Errorf("it says %q", r.Stdout)
	}
	if _, err := os.Stat(m.Path("credentials.yaml")); err == nil {
		t.Error("the file is still there")
	}
	if r := m.Must("logout", "--all"); r.Stdout != "You are not logged in.\n" {
		t.Errorf("it says %q", r.Stdout)
	}
}

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
	m.With("ARCADE_API_KEY="+testbed.EngineKey).Run("secret", "list")
	m.With("ARCADE_API_KEY=" + testbed.EngineKey).Run("whoami")
	m.Must("logout")
	m.Must("usage", "flush")
	events := m.AwaitEvents(8, time.Minute)
	for _, e := range events {
		if e.DistinctID != events[0].DistinctID || strings.HasPrefix(e.DistinctID, "principal") {
			t.Errorf("%s is %s's; want all of them as the same anon id", e.Event, e.DistinctID)
		}
		for _, private := range []string{"org_", "proj_", "principal", "corp.example"} {
			if text := string(must(json.Marshal(e))); strings.Contains(text, private) {
				t.Errorf("an event says %q: %s", private, text)
			}
		}
	}
	if n := len(m.Aliases()); n != 0 {
		t.Errorf("%d aliases; want none", n)
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

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestALinkedHomeIsNotTouchedByASelfHostedContext(t *testing.T) {
	t.Parallel()
	m, _, _ := both(t) // the login to Arcade Cloud has linked it
	m.Must("whoami")
	m.Must("context", "set", "default")
	m.Must("whoami")
	m.Must("usage", "flush")
	byID := map[string][]string{}
	for _, e := range m.Posthog.Events() {
		if e.IsAlias() {
			continue
		}
		byID[e.DistinctID] = append(byID[e.DistinctID], commandOf(e))
	}
	if got := strings.Join(byID["principal-ada"], " "); got != "login context.set whoami" {
		t.Errorf("Ada's events are %q; want those outside of the self-hosted context", got)
	}
	if len(byID) != 2 || len(m.Aliases()) != 1 || *m.Inspect().Identity.LinkedPrincipalID != "principal-ada" {
		t.Errorf("events by id: %v, %d aliases; want the rest as the anon id, and the home linked as before", byID, len(m.Aliases()))
	}
	if r := m.With("ARCADE_CONTEXT=onprem").Must("usage", "status"); !strings.Contains(r.Stdout, "Context:") || !strings.Contains(r.Stdout, "self-hosted") {
		t.Errorf("usage status says %q; want what a self-hosted context means for events", r.Stdout)
	}
}

func TestTheLogoutOfASelfHostedContextSaysNothingOfTheNextLogin(t *testing.T) {
	t.Parallel()
	m, _, _ := both(t)
	m.Must("logout")
	m.Must("usage", "flush")
	for _, e := range m.Posthog.Events() {
		if text := string(must(json.Marshal(e))); commandOf(e) == "logout" && strings.Contains(text, "org_") {
			t.Errorf("the event has the organization of the login that is left: %s", text)
		}
	}
}

// A key of the installation would go to arcade.dev by a command without its address.
func TestTheAdviceOfALoginAtAnInstallationNamesIt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	onprem := m.onprem()
	for _, name := range []string{"", " --context corp"} {
		r := m.Run(strings.Fields("login --no-browser --timeout 50ms --url " + onprem.URL + name)...)
		if want := "arcade login --url " + onprem.URL + name + " --with-key"; r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%+v; want %q", r, want)
		}
	}
}

func TestALoginMakesAContextWhereNoneHasItsName(t *testing.T) {
	t.Parallel()
	for _, contexts := range []string{"{}", "", "{prod: {kind: cloud, coordinator_url: 'https://cloud.arcade.dev'}}"} {
		m := newMachine(t)
		m.Machine = m.Production()
		m.writeFile("credentials.yaml", "cloud: {contexts: "+contexts+"}\n")
		m.Cloud.Meet("ada")
		if r := m.RunWith("arc_ada\n", "login", "--with-key"); r.Code != 0 || strings.Contains(r.Stderr, "Warning") {
			t.Errorf("contexts: %s: %+v; want the key checked and kept", contexts, r)
		}
		if r := m.Must("whoami"); !strings.Contains(r.Stdout, "principal-ada") {
			t.Errorf("contexts: %s: whoami says %q; want the new login", contexts, r.Stdout)
		}
	}
}

func commandOf(e outboxtest.Commit) string { return fmt.Sprint(e.Properties()["command_name"]) }

func TestDiscoveryThatIsNoneIsSaidSoAndNothingIsKept(t *testing.T) {
	t.Parallel()
	m := newMachine(t).With("ARCADE_USAGE_TRACKING=0")
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

func TestAnInstallationWithoutACloudIsLoggedInToWithAKey(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	onprem := m.onprem()
	onprem.Set(func(b *identitytest.Behaviour) { b.NoCoordinator, b.Nested = true, true })
	r := m.RunWith(testbed.EngineKey+"\n", "login", "--url", onprem.URL, "--with-key")
	if r.Code != 0 || !strings.Contains(r.Stdout, "You are logged in") {
		t.Fatalf("%+v; want the key kept, unchecked", r)
	}
	m.Must("secret", "set", "DB=x")
	if items := m.Engine.Items(); len(items) != 1 || items[0].Key != "DB" {
		t.Errorf("the Engine has %+v; want the secret", items)
	}
	if r := m.Must("whoami"); !strings.Contains(r.Stdout, "Cloud:        none") {
		t.Errorf("whoami says %q", r.Stdout)
	}
}

func TestALoginThatHasEndedIsMadeAnewInItsContext(t *testing.T) {
	t.Parallel()
	m, _, onprem := both(t)
	if r := m.Must("login"); !strings.Contains(r.Stdout, "You are logged in as ada@corp.example in the context onprem already") {
		t.Errorf("%+v; want to be told that the active context works", r)
	}
	onprem.EndLogins()
	if r := m.Run("whoami"); r.Code != 1 || !strings.Contains(r.Stderr, "Run 'arcade login --context onprem'.") {
		t.Errorf("%+v; want the command that mends this login", r)
	}
	before := m.Cloud.Count(identitytest.ConfigPath)
	m.Must("login", "--context", "onprem")
	if r := m.Must("whoami"); !strings.Contains(r.Stdout, "ada@corp.example") || m.Cloud.Count(identitytest.ConfigPath) != before {
		t.Errorf("%+v; want the login at the installation again", r)
	}
	if r := m.Run("login", "--url", onprem.URL, "--context", "default"); r.Code != 1 || !strings.Contains(r.Stderr, "there is one login in a context") {
		t.Errorf("%+v; want the other login kept", r)
	}
}

// An installation without an Arcade Cloud, whose login the Python CLI made: no advice leads nowhere.
func TestALoginAtNoCloudIsToldApartFromAnAddressThatIsWrong(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0")
	m.writeFile("credentials.yaml", "cloud: {kind: self_hosted, engine_url: '"+m.Engine.URL+"', user: {email: a@corp.example},"+
		" auth: {access_token: tok, refresh_token: ref, expires_at: '2099-01-01T00:00:00'},"+
		" context: {org_id: o, org_name: O, project_id: p, project_name: P}}\n")
	for _, s := range [][2]string{
		{"org", "O (o)\n"},
		{"org list", "Error: this installation has no Arcade Cloud that knows its organizations.\n'arcade secret' takes --org and --project.\n"},
		{"project set x", "Error: this installation has no Arcade Cloud that knows its projects.\n'arcade secret' takes --org and --project.\n"},
		{"org --tls", "Error: this login belongs to an installation without an Arcade Cloud, and its token goes to no other host.\n"},
		{"secret list", "Error: the Engine does not accept the credentials (HTTP 401).\nRun 'arcade login --with-key'.\n"},
		{"whoami", "Login:        was not checked; its token ends at "},
		{"logout", "The session at " + strings.TrimPrefix(m.Engine.URL, "http://") + " lives on until it ends by itself.\n"},
	} {
		code := 0
		if strings.HasPrefix(s[1], "Error") {
			code = 1
		}
		m.says(s[0], code, s[1])
	}
}

func (m *machine) says(command string, code int, says string) {
	m.Helper()
	if r := m.Run(strings.Fields(command)...); r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
		m.Errorf("arcade %s: %+v; want exit code %d and %q", command, r, code, says)
	}
}

// ARCADE_URL with ARCADE_API_KEY is a context of its own, whatever the file holds.
func TestTheContextOfTheVariablesHidesThatOfTheFile(t *testing.T) {
	t.Parallel()
	m, cloud, _ := both(t)
	asked := cloud.Count(identitytest.WhoAmIPath)
	m.Env = append(m.Env, "ARCADE_URL="+m.Engine.URL, "ARCADE_API_KEY="+testbed.EngineKey)
	m.says("whoami", 0, "Context:      env\nEngine:       "+m.Engine.URL+"\nAPI key:      ARCADE_API_KEY is set: commands use that key and not the login; it was not checked\n")
	m.says("whoami --json", 0, `"context": "env",`)
	m.says("usage status", 0, "env, self-hosted: events carry this home's anonymous id alone")
	m.says("context set default", 0, "ARCADE_API_KEY is set: commands use that key and not this login.\n")
	m.says("context", 0, "ARCADE_API_KEY is set: commands use that key and not this login.\n")
	m.says("secret set A=b", 0, "")
	if r := m.Must("whoami"); strings.Contains(r.Stdout, "ada") || cloud.Count(identitytest.WhoAmIPath) != asked {
		t.Errorf("whoami says %q; want nothing of the file's login, and Arcade Cloud not asked", r.Stdout)
	}
}

// While the file does not say what the active context is, that is said, and not that it is self-hosted.
func TestAFileThatCannotBeReadMayHaveASelfHostedContext(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+testbed.EngineKey)
	m.writeFile("credentials.yaml", "cloud: [\n")
	m.says("secret list", 1, "Error: ARCADE_API_KEY alone goes to Arcade Cloud, and the active context may be self-hosted: the credentials file is damaged.\n")
	m.says("usage status", 0, "not known, since the credentials file is damaged: events carry this home's anonymous id alone")
	m.writeFile("credentials.yaml", "cloud: {kind: self_hosted, coordinator_url: 'https://cloud.arcade.dev', api_key: x}\n")
	m.says("secret list", 1, "Error: ARCADE_API_KEY alone goes to Arcade Cloud, and the active context is self-hosted.\n")
	const refuses = "ARCADE_API_KEY alone goes to Arcade Cloud, and the active context is self-hosted. Set ARCADE_URL, or give --host api.arcade.dev.\n"
	m.says("whoami", 0, "Warning: "+refuses)
	m.says("whoami", 0, "ARCADE_API_KEY is set, but not ARCADE_URL: commands refuse that key; it was not checked\n")
	m.says("context", 0, "Warning: "+refuses)
	m.Env = m.Env[:len(m.Env)-1]
	m.says("secret list", 1, "Error: nothing is sent to arcade.dev while a self-hosted context is active.\nChoose another context with 'arcade context set'.\n")
	m.says("whoami", 0, "Warning: Nothing is sent to arcade.dev while a self-hosted context is active.")
	m.writeFile("credentials.yaml", "cloud: {contexts: {}}\n")
	m.says("context set x", 1, "Error: you are not logged in.\n")
}
