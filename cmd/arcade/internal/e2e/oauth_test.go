package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// loginAt logs in at today's Arcade.
func loginAt(m *machine, cloud *identitytest.Cloud) testbed.Result {
	m.Helper()
	return m.Run(append([]string{"login"}, testbed.At(cloud)...)...)
}

func loggedIn(t *testing.T) (*machine, *identitytest.Cloud) {
	t.Helper()
	m := newMachine(t)
	cloud := m.OAuth(testbed.Ada())
	if r := loginAt(m, cloud); r.Code != 0 {
		t.Fatalf("login: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	t.Cleanup(func() {
		for _, v := range cloud.Violations() {
			t.Errorf("Arcade Cloud saw: %s", v)
		}
	})
	return m, cloud
}

// expire makes the token in the credentials file one that ended an hour ago.
func (m *machine) expire() {
	m.Helper()
	expiry := regexp.MustCompile(`expires_at: .*`)
	old := m.ReadFile("credentials.yaml")
	if !expiry.MatchString(old) {
		m.Fatalf("the credentials have no expiry:\n%s", old)
	}
	at := time.Now().Add(-time.Hour).Format("2006-01-02T15:04:05.000000")
	m.writeFile("credentials.yaml", expiry.ReplaceAllString(old, "expires_at: '"+at+"'"))
}

// loginsIn are the logins of a credentials file by context, and by "" what CLIs without contexts read.
type loginsIn map[string]map[string]any

// logins returns those of the file. CLIs with contexts read the map, and the others the copy beside it:
// where there are both, they must agree, or a CLI shows a refresh token that was used.
func (m *machine) logins() loginsIn {
	m.Helper()
	content := m.ReadFile("credentials.yaml")
	var file struct {
		Cloud map[string]any `yaml:"cloud"`
	}
	if err := yaml.Unmarshal([]byte(content), &file); err != nil {
		m.Fatalf("the credentials are damaged: %v", err)
	}
	found := loginsIn{"": file.Cloud}
	contexts, mapped := file.Cloud["contexts"].(map[string]any)
	for name, login := range contexts {
		found[name] = login.(map[string]any)
	}
	active, _ := file.Cloud["active_context"].(string)
	delete(file.Cloud, "contexts")
	delete(file.Cloud, "active_context")
	if mapped && !reflect.DeepEqual(found[active], found[""]) {
		m.Errorf("the context %q and the copy beside the map differ in\n%s", active, content)
	}
	return found
}

// active is the name of the context that the copy beside the map is of, "" without a map.
func (l loginsIn) active() string {
	for name, login := range l {
		if name != "" && reflect.DeepEqual(login, l[""]) {
			return name
		}
	}
	return ""
}

// writeFile writes a file in Arcade's directory.
func (m *machine) writeFile(name, content string) { m.Helper(); file(".arcade/"+name, content)(m, nil) }

func TestALoginIsThatOfTheArcadeOfToday(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	file := m.ReadFile("credentials.yaml")
	for _, want := range []string{"access_token:", "refresh_token:", "expires_at: '2", "org_id: org_1", "project_id: proj_1", "org_name: Analytical Engines", "email: ada@example.com"} {
		if !strings.Contains(file, want) {
			t.Errorf("the credentials lack %q, which the Python CLI needs:\n%s", want, file)
		}
	}
	if strings.Contains(file, "api:") {
		t.Errorf("an API key beside tokens makes the Python CLI refuse the file:\n%s", file)
	}
	var who cli.WhoamiResult
	if err := json.Unmarshal([]byte(m.Must("whoami", "--json").Stdout), &who); err != nil {
		t.Fatal(err)
	}
	if *who.Email != "ada@example.com" || *who.PrincipalID != "principal-ada" || who.Project.ID != "proj_1" || *who.Login != "works" || who.ExpiresAt == nil {
		t.Errorf("whoami says %+v", who)
	}
	asked := cloud.Count(identitytest.WhoAmIPath)
	if r := m.Must("whoami", "--offline"); !strings.Contains(r.Stdout, "Notes (proj_1)") || cloud.Count(identitytest.WhoAmIPath) != asked {
		t.Errorf("whoami --offline says\n%s\nand Cloud was asked", r.Stdout)
	}
	if r := loginAt(m, cloud); r.Code != 0 || !strings.Contains(r.Stdout, "logged in as ada@example.com already") {
		t.Errorf("a second login: %+v", r)
	}
	if r := m.Must("login"); !strings.Contains(r.Stdout, "ada@example.com at "+strings.Replace(cloud.URL, "127.0.0.1", "localhost", 1)+" already") {
		t.Errorf("a login that names no Cloud: %+v; want where the present one is", r)
	}
	if r := m.Must("logout"); !strings.Contains(r.Stdout, "You are logged out.") {
		t.Errorf("logout says %q", r.Stdout)
	}
}

func TestOrganizationsAndProjects(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	steps := []struct {
		args []string
		code int
		want string // on either stream
	}{
		{[]string{"org"}, 0, "Analytical Engines (org_1)"},
		{[]string{"project"}, 0, "Notes (proj_1)"},
		{[]string{"org", "list"}, 0, "Royal Society\torg_2\t\t\n"},
		{[]string{"project", "list"}, 0, "Notes\tproj_1\tyes\tyes"},
		{[]string{"project", "set", "Bernoulli"}, 0, "You work in Analytical Engines / Bernoulli now."},
		{[]string{"project"}, 0, "Bernoulli (proj_2)"},
		{[]string{"project", "set", "nothing"}, 1, "Notes (proj_1)"},
		{[]string{"org", "set", "org_2"}, 0, "You work in Royal Society / Letters now."},
		{[]string{"project", "set", "proj_1"}, 1, "there is no project with this name or id"},
		{[]string{"org", "set", "nothing"}, 1, "there is no organization with this name or id"},
		{[]string{"org", "set"}, 2, "give a name or an id"},
		{[]string{"org", "lst"}, 2, "list"},
		{[]string{"__complete", "org", "set", ""}, 0, "org_1\tAnalytical Engines"},
		{[]string{"__complete", "org", "set", "Ana"}, 0, "Analytical Engines\torg_1"},
		{append([]string{"org", "list"}, testbed.At(cloud)...), 0, "org_2"},
		{append([]string{"project", "list", "--no-tls"}, testbed.At(cloud)...), 0, "proj_3"},
		{append([]string{"org", "--tls", "list"}, testbed.At(cloud)...), 1, "its token goes to no other host"},
		{[]string{"org", "--no-tls", "list"}, 0, "org_2"}, // what is left away is the login's
		{[]string{"org", "-h", "localhost"}, 0, "Royal Society"},
		{[]string{"project", "list", "-p", strings.TrimPrefix(cloud.URL, "http://127.0.0.1:")}, 0, "proj_3"},
		{[]string{"project", "list", "-p", "1"}, 1, "its token goes to no other host"},
		{[]string{"org", "--tls", "--no-tls"}, 2, "exclude each other"},
		{[]string{"project", "list", "-h", "cloud.example.com"}, 1, "its token goes to no other host"},
		{[]string{"org", "-h"}, 0, "Usage"},
	}
	for _, s := range steps {
		if r := m.Run(s.args...); r.Code != s.code || !strings.Contains(r.Stdout+r.Stderr, s.want) {
			t.Errorf("arcade %v: exit code %d\n%s%s\nwant %d and %q", s.args, r.Code, r.Stdout, r.Stderr, s.code, s.want)
		}
	}
	var listed []cli.ListedPlace
	if err := json.Unmarshal([]byte(m.Must("org", "list", "--json").Stdout), &listed); err != nil || len(listed) != 2 || !listed[1].Active || !listed[0].Default {
		t.Errorf("org list --json gives %+v, %v", listed, err)
	}
	cloud.Override(identitytest.OrgsPath, page("<html>log in</html>"))
	if r := m.Run("org", "list"); r.Code != 1 || strings.Contains(r.Stderr, "<html>") {
		t.Errorf("a page instead of a list: %+v", r)
	}
	if r := m.Run("__complete", "org", "set", ""); !strings.Contains(r.Stdout, "org_1") {
		t.Errorf("completion offers %q; want the last answer", r.Stdout)
	}
	m.Must("logout")
	if _, err := os.Stat(m.Path("places.json")); !os.IsNotExist(err) {
		t.Errorf("after a logout it is still known where one could work: %v", err)
	}
}

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// The Engine gets a login's token only when it belongs to the login's Arcade Cloud, or was named.
func TestSecretsAreThoseOfTheActiveProject(t *testing.T) {
	t.Parallel()
	m, _ := loggedIn(t)
	engine := secretstest.Start("none") // whatever the token is, it is noted
	t.Cleanup(engine.Close)
	at := []string{"--host", "localhost", "--port", testbed.PortOf(t, engine.URL)}
	m.Must("project", "set", "Bernoulli")
	m.Run(append([]string{"secret", "list"}, at...)...)
	m.Run(append([]string{"secret", "list", "--org", "org_2", "--project", "proj_3"}, at...)...)
	m.Run(append([]string{"secret", "list", "--project", "proj_1"}, at...)...)
	var paths []string
	for _, r := range engine.Requests() {
		if len(paths) == 0 || paths[len(paths)-1] != r.Path { // a refused token is renewed once
			paths = append(paths, r.Path)
		}
	}
	want := []string{"/v1/orgs/org_1/projects/proj_2/secrets", "/v1/orgs/org_2/projects/proj_3/secrets", "/v1/orgs/org_1/projects/proj_1/secrets"}
	if !slices.Equal(paths, want) {
		t.Errorf("the Engine got %v, want %v", paths, want)
	}
	m.writeFile("credentials.yaml", strings.Replace(m.ReadFile("credentials.yaml"), "http://localhost", "https://arcade.example.com", 1))
	if r := m.Run("secret", "list"); r.Code != 1 || !strings.Contains(r.Stderr, "Name the Engine with --host") {
		t.Errorf("secret list: %+v; want the Engine of an unknown Cloud to be asked for", r)
	}
}

func TestTheProjectIsNamedUnlessItIsTheDefaultOne(t *testing.T) {
	t.Parallel()
	m, _ := loggedIn(t)
	access, _, _ := strings.Cut(strings.SplitN(m.ReadFile("credentials.yaml"), "access_token: ", 2)[1], "\n")
	engine := secretstest.Start(access)
	t.Cleanup(engine.Close)
	said := func(args ...string) string {
		return m.Must(append(append([]string{"secret", "set", "A=b"}, args...), "--host", "localhost", "--port", testbed.PortOf(t, engine.URL))...).Stdout
	}
	forget := func() { os.Remove(m.Path("places.json")) }
	for _, s := range []struct {
		change func()
		args   []string
		want   string
	}{
		{func() {}, nil, "successfully\n"},
		{func() {}, []string{"--project", "proj_1"}, "successfully in project 'proj_1'\n"},
		{func() { m.Must("project", "set", "Bernoulli") }, nil, "successfully in project 'Bernoulli'\n"},
		{func() { m.Must("org", "set", "org_2") }, nil, "successfully in project 'Letters'\n"}, // the default of another organization
		{func() { m.Must("org", "set", "org_1") }, nil, "successfully\n"},
		{forget, nil, "successfully in project 'Notes'\n"}, // as with a login of the Python CLI
		{func() { m.Must("org", "list"); m.Must("project", "list") }, nil, "successfully\n"},
	} {
		if s.change(); !strings.HasSuffix(said(s.args...), s.want) {
			t.Errorf("secret set %v says %q, want %q", s.args, said(s.args...), s.want)
		}
	}
}

func TestOneOfManyProcessesRenewsAndAllSucceed(t *testing.T) {
	t.Parallel()
	for name, logIn := range map[string]func(*testing.T) (*machine, *identitytest.Cloud){
		"a file without contexts": loggedIn,
		"a file with contexts": func(t *testing.T) (*machine, *identitytest.Cloud) {
			m, _, onprem := both(t)
			return m, onprem
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, cloud := logIn(t)
			m.expire()
			cloud.Delay(identitytest.TokenPath, 300*time.Millisecond)
			before, old, renewals := m.logins(), m.ReadFile("credentials.yaml"), cloud.Count(identitytest.TokenPath)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if r := m.Run("project", "list"); r.Code != 0 {
						t.Errorf("project list: exit code %d\n%s", r.Code, r.Stderr)
					}
				})
			}
			wg.Wait()
			if n := cloud.Count(identitytest.TokenPath) - renewals; n != 1 {
				t.Errorf("%d renewals, want exactly one: a second use of a refresh token ends the login", n)
			}
			if m.ReadFile("credentials.yaml") == old {
				t.Error("the file has the old tokens")
			}
			after := m.logins()
			delete(before, after.active())
			for other, login := range before {
				if !reflect.DeepEqual(after[other], login) && other != "" {
					t.Errorf("the context %s became %v; want what it was, %v: its login was not used", other, after[other], login)
				}
			}
		})
	}
}

func TestALoginThatHasEndedSaysSoAndIsReplacedWithoutALogout(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	m.expire()
	m.spoilRefreshToken()
	before := m.ReadFile("credentials.yaml")
	for _, args := range [][]string{{"org", "list"}, {"project", "set", "x"}, {"secret", "list"}, {"whoami"}} {
		r := m.Run(args...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "arcade login") || strings.Contains(r.Stderr+r.Stdout, sentinel) {
			t.Errorf("arcade %v: %+v; want exit code 1, 'arcade login', and none of the server's words", args, r)
		}
	}
	if m.ReadFile("credentials.yaml") != before {
		t.Error("a refused renewal changed the file: the Python CLI may have been faster")
	}
	if r := loginAt(m, cloud); r.Code != 0 || !strings.Contains(r.Stdout, "logged in as ada@example.com.") {
		t.Errorf("login: %+v; want a new login without a logout first", r)
	}
}

// A Cloud that cannot say is no reason to lose a login; the next one completes it.
func TestALoginThatIsKeptWithoutAProjectIsCompletedByTheNext(t *testing.T) {
	t.Parallel()
	for _, path := range []string{identitytest.WhoAmIPath, identitytest.OrgsPath + "/org_1/projects"} {
		m := newMachine(t)
		cloud := m.OAuth(testbed.Ada())
		cloud.Override(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		if r := loginAt(m, cloud); r.Code != 0 || !strings.Contains(r.Stderr, "kept unchecked") {
			t.Errorf("without %s, login: %+v; want the login to be kept", path, r)
		}
		cloud.Override(path, nil)
		if r := m.Run("project"); r.Code != 1 || !strings.Contains(r.Stderr, "Run 'arcade login --host localhost:") {
			t.Errorf("project: %+v", r)
		}
		if r := loginAt(m, cloud); r.Code != 0 || !strings.Contains(r.Stdout, "Active project: Analytical Engines / Notes") {
			t.Errorf("the next login: %+v; want a project", r)
		}
	}
}

func TestAnEventSaysWhereTheLoginWorksUnlessItBelongsToAnotherKey(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	cloud.AddKey("arc_other", "principal-other")
	m.Must("succeed")
	m.Env = append(m.Env, "ARCADE_API_KEY=arc_other")
	m.Must("succeed")
	m.Env = m.Env[:len(m.Env)-1]
	m.Must("logout")
	m.AwaitNoFlusher()
	var places []string
	for _, message := range m.Inspect().Messages {
		var p struct {
			Command string `json:"command_name"`
			Org     string `json:"org_id"`
			Project string `json:"project_id"`
			MS      *int64 `json:"duration_ms"`
		}
		if err := json.Unmarshal(message.Properties, &p); err != nil || p.Command == "" {
			continue
		}
		if p.MS == nil {
			t.Errorf("%s has no duration_ms", p.Command)
		}
		places = append(places, p.Command+" "+p.Org+" "+p.Project)
	}
	if want := "login org_1 proj_1|succeed org_1 proj_1|succeed  |logout  "; strings.Join(places, "|") != want {
		t.Errorf("the events are %q, want %q", strings.Join(places, "|"), want)
	}
	m.NoViolations()
}

// A flusher asks with a token that is good, or not at all.
func TestAFlusherNeverRenewsAndNeverAsksWithADeadToken(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	m.AwaitNoFlusher()
	m.expire()
	// As if the Python CLI had written it: nothing is known of this login here.
	m.writeFile("credentials.yaml", strings.Replace(m.ReadFile("credentials.yaml"), "ada@example.com", "bob@example.com", 1))
	tokens, whoami := cloud.Count(identitytest.TokenPath), cloud.Count(identitytest.WhoAmIPath)
	for range 3 {
		m.Must("succeed")
		m.AwaitNoFlusher()
	}
	if cloud.Count(identitytest.TokenPath) != tokens || cloud.Count(identitytest.WhoAmIPath) != whoami {
		t.Errorf("%d renewals and %d questions by flushers, want none", cloud.Count(identitytest.TokenPath)-tokens, cloud.Count(identitytest.WhoAmIPath)-whoami)
	}
}

// The file is what it was, or says all of the change in both copies, wherever the process dies.
func TestAWriteThatIsKilledLeavesOneOfTheTwoStates(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]struct {
		args   func(onprem *identitytest.Cloud) []string
		before func(*machine)
	}{
		"a login":              {args: func(c *identitytest.Cloud) []string { return []string{"login", "--url", c.URL, "--context", "third"} }},
		"a renewal":            {args: words("whoami"), before: (*machine).expire},
		"another organization": {args: words("org", "set", "org_2")},
		"another project":      {args: words("project", "set", "proj_2")},
		"another context":      {args: words("context", "set", "default")},
		"a logout":             {args: words("logout")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, point := range []string{"reserved", "filled", "replaced"} {
				m, _, onprem := both(t)
				onprem.Set(func(b *identitytest.Behaviour) { b.ForgiveReuse = true })
				if write.before != nil {
					write.before(m)
				}
				before := m.ReadFile("credentials.yaml")
				cmd := m.Command(write.args(onprem)...)
				cmd.Env = append(cmd.Env, testbed.TestKillAt+"="+lastOf(name, point))
				if r := m.Finish(cmd); r.Code == 0 {
					t.Fatalf("at %q the process was not killed: %+v", point, r)
				}
				m.logins()
				if changed := m.ReadFile("credentials.yaml") != before; changed != (point == "replaced") {
					t.Errorf("killed at %q: the file was changed: %v; want the old one until the new one is whole and in its place", point, changed)
				}
				m.Must("whoami")
				m.Must("context", "set", "default") // under the lock, which died with its process
				m.logins()
				if left, _ := filepath.Glob(m.Path(".credentials.yaml.*")); len(left) > 0 {
					t.Errorf("killed at %q: the next write leaves %v", point, left)
				}
			}
		})
	}
}

func words(args ...string) func(*identitytest.Cloud) []string {
	return func(*identitytest.Cloud) []string { return args }
}

// lastOf is the point of the write itself: a login makes room once before it asks.
func lastOf(write, point string) string {
	if write == "a login" && point == "reserved" {
		return "reserved#2"
	}
	return point
}

func TestPythonFingersFindTheirWay(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cloud := m.OAuth(testbed.Ada())
	at := testbed.At(cloud)
	if r := m.Run("login", "-h", at[1], "-p", at[3], "--timeout", "60", "-d"); r.Code != 0 || !strings.Contains(r.Stderr, "debug: GET") {
		t.Errorf("login -h: %+v", r)
	}
	if r := m.Run("login", "-h"); r.Code != 0 || !strings.Contains(r.Stdout, "Usage") {
		t.Errorf("a lone -h: %+v; want help", r)
	}
	for _, word := range []string{"mcp", "toolkit", "worker"} {
		if r := m.Run(word, "--help"); r.Code != 2 || !strings.Contains(r.Stderr, "the Python CLI has it.\nRun 'arcade-mcp "+word+"'") {
			t.Errorf("%s: %+v", word, r)
		}
	}
}
