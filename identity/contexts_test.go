package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// seen is what a Python CLI reads of a login, each part as a whole.
type seen struct {
	Kind, Engine, Coordinator, Dashboard, Key string
	Auth, Project                             map[string]string
	User                                      map[string]string
}

// nextCLI reads as the CLI that knows contexts does: the map, if it is there, and nothing else.
func nextCLI(t *testing.T, content string) (active string, contexts map[string]seen) {
	t.Helper()
	cloud := cloudIn(t, content)
	contexts = map[string]seen{}
	node, mapped := cloud["contexts"]
	if !mapped {
		return "default", map[string]seen{"default": seeLogin(t, cloud, true)}
	}
	var names []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		names = append(names, node.Content[i].Value)
	}
	var entries map[string]map[string]yaml.Node
	if err := node.Decode(&entries); err != nil {
		t.Fatal(err)
	}
	for name, entry := range entries {
		contexts[name] = seeLogin(t, entry, false)
	}
	name := cloud["active_context"]
	if active = name.Value; !slices.Contains(names, active) && len(names) > 0 {
		active = names[0]
	}
	return active, contexts
}

// todaysCLI reads what lies beside the map, which it does not know.
func todaysCLI(t *testing.T, content string) seen {
	t.Helper()
	return seeLogin(t, cloudIn(t, content), true)
}

func cloudIn(t *testing.T, content string) map[string]yaml.Node {
	t.Helper()
	var file struct{ Cloud map[string]yaml.Node }
	if err := yaml.Unmarshal([]byte(content), &file); err != nil {
		t.Fatalf("%v:\n%s", err, content)
	}
	return file.Cloud
}

func seeLogin(t *testing.T, entry map[string]yaml.Node, flat bool) (s seen) {
	t.Helper()
	get := func(key string, into any) {
		if node, found := entry[key]; found {
			if err := node.Decode(into); err != nil {
				t.Fatal(err)
			}
		}
	}
	var api map[string]string
	get("api", &api)
	get("kind", &s.Kind)
	get("engine_url", &s.Engine)
	get("coordinator_url", &s.Coordinator)
	get("dashboard_url", &s.Dashboard)
	get("api_key", &s.Key)
	get("auth", &s.Auth)
	get("context", &s.Project)
	get("user", &s.User)
	delete(s.User, "note")
	for part, keys := range map[string][]string{"auth": {"access_token", "expires_at", "refresh_token"}, "context": {"org_id", "org_name", "project_id", "project_name"}} {
		got := map[string]map[string]string{"auth": s.Auth, "context": s.Project}[part]
		if have := slices.Sorted(maps.Keys(got)); got != nil && !slices.Equal(have, keys) {
			t.Errorf("%s holds %v; want all of %v, or the Python CLI refuses the file", part, have, keys)
		}
	}
	if api != nil && (!flat || s.Auth != nil) {
		t.Error("there is an api beside auth or in a context; want none, the Python CLI refuses the file")
	}
	if len(s.User) == 0 {
		s.User = nil
	}
	return s
}

const onpremEntry = `
      # on our own machines
      kind: self_hosted
      engine_url: https://engine.corp.example
      coordinator_url: https://cloud.corp.example/api/v1
      dashboard_url: https://arcade.corp.example
      note: n1
      auth: {access_token: on_access, expires_at: '2030-01-01T00:00:00.000000', refresh_token: on_refresh}
      user: {email: ada@corp.example, account_id: acc_on, note: n2}
      context: {org_id: org_o, org_name: O, project_id: proj_o, project_name: P}
`

const defaultEntry = `
      kind: cloud
      coordinator_url: https://cloud.example # ours
      auth:
        access_token: def_access
        expires_at: '2030-01-01T00:00:00.000000'
        refresh_token: def_refresh
      user: {email: ada@arcade.test, account_id: acc_ada}
      context: {org_id: org_1, org_name: Analytical, project_id: proj_1, project_name: Engine}
`

// flatOf is the copy of an entry that lies beside the map.
func flatOf(entry string) string { return strings.ReplaceAll(entry, "\n      ", "\n  ") }

// contextFiles are credentials.yaml as it is met.
func contextFiles() map[string]string {
	m := "# mine\ntheme: dark\ncloud:\n  region: eu # here\n"
	both := "  contexts:\n    default:" + defaultEntry + "    onprem:" + onpremEntry
	return map[string]string{
		"flat": m + flatOf(defaultEntry)[1:],
		"flat, without a kind, as the CLI of today leaves a file with contexts": strings.Replace(m+flatOf(defaultEntry)[1:], "  kind: cloud\n", "", 1),
		"a map":                               m + "  active_context: default\n" + both + flatOf(defaultEntry)[1:],
		"a map, the second context is active": m + "  active_context: onprem\n" + both + flatOf(onpremEntry)[1:],
		"a map without the copy":              m + "  active_context: default\n" + both,
		"a map with a copy that is stale":     m + "  active_context: default\n" + both + strings.ReplaceAll(flatOf(defaultEntry)[1:], "def_", "stale_"),
		"a map without an active one":         m + both + flatOf(defaultEntry)[1:],
		"an active one that the map lacks":    m + "  active_context: gone\n" + both + flatOf(defaultEntry)[1:],
		"a context with a key": m + "  active_context: ci\n  contexts:\n    ci: {kind: self_hosted, engine_url: 'https://engine.corp.example', api_key: arc_ci}\n" +
			"    default:" + defaultEntry + "  api_key: arc_ci\n  kind: self_hosted\n  engine_url: https://engine.corp.example\n",
		"one context": m + "  active_context: default\n  contexts:\n    default:" + defaultEntry + flatOf(defaultEntry)[1:],
		"a legacy key beside the map": m + "  api: {key: arc_old, version: v1}\n  active_context: default\n  contexts:\n    default:" + defaultEntry +
			"    onprem:" + onpremEntry,
	}
}

// see is what a Python CLI should read of a login.
func see(c Credentials) seen {
	s := seen{Kind: c.Kind, Engine: c.EngineURL, Coordinator: c.CoordinatorURL, Dashboard: c.DashboardURL, Key: c.APIKey}
	if c.AccessToken != "" {
		s.Auth = map[string]string{"access_token": c.AccessToken, "expires_at": c.pythonExpiry(), "refresh_token": c.RefreshToken}
	}
	if c.Context != (Context{}) {
		s.Project = map[string]string{"org_id": c.OrgID, "org_name": c.OrgName, "project_id": c.ProjectID, "project_name": c.ProjectName}
	}
	user := map[string]string{"email": c.Email, "account_id": c.AccountID}
	maps.DeleteFunc(user, func(_, value string) bool { return value == "" })
	if len(user) > 0 {
		s.User = user
	}
	return s
}

// contextWrites are all changes of the file. Each returns the login that it has written, and the
// context that is active then; "" for the one that was.
func contextWrites(cloud *identitytest.Cloud) map[string]func(*testing.T, CredentialsFile) (Credentials, string) {
	bob := Tokens{Access: "bob_access", Refresh: "bob_refresh", Life: time.Hour}.Into(Credentials{
		Email: "bob@arcade.test", AccountID: "acc_bob", CoordinatorURL: "https://cloud.example", Context: Context{"org_b", "B", "proj_b", "Bee"}}, time.Now())
	login := func(name, kind, engine string) func(*testing.T, CredentialsFile) (Credentials, string) {
		return func(t *testing.T, f CredentialsFile) (Credentials, string) {
			c := bob
			c.Name, c.Kind, c.EngineURL = name, kind, engine
			if err := f.Write(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			return c, name
		}
	}
	// change makes the active login, or that of name, one that Cloud knows and whose token is about to expire.
	renew := func(name string) func(*testing.T, CredentialsFile) (Credentials, string) {
		return func(t *testing.T, f CredentialsFile) (Credentials, string) {
			f.Context = name
			before, err := f.Read()
			if err != nil || before.AccessToken == "" {
				t.Skip("there is nothing to renew")
			}
			access, refresh := cloud.Login(ada.Email)
			for _, other := range []string{"def_", "on_", "stale_"} {
				put(t, f.Path, strings.NewReplacer(other+"access", access, other+"refresh", refresh).Replace(contentOf(t, f.Path)))
			}
			put(t, f.Path, strings.NewReplacer("https://cloud.example", cloud.URL, "https://cloud.corp.example", cloud.URL).Replace(contentOf(t, f.Path)))
			s := Session{File: f, HTTP: http.DefaultClient, Now: time.Now}
			before, _ = f.Read()
			after, err := s.Replace(t.Context(), before)
			if err != nil || after.AccessToken == before.AccessToken {
				t.Fatalf("got %s, %v; want other tokens", show(after), err)
			}
			return after, ""
		}
	}
	return map[string]func(*testing.T, CredentialsFile) (Credentials, string){
		"a login":                    login("default", "cloud", ""),
		"a login in a new context":   login("staging", "cloud", ""),
		"a self-hosted login":        login("onprem", "self_hosted", "https://engine.corp.example"),
		"a renewal":                  renew(""),
		"a renewal of another login": renew("default"),
		"another organization and project": func(t *testing.T, f CredentialsFile) (Credentials, string) {
			c, err := f.Read()
			if err != nil {
				t.Fatal(err)
			}
			c.Context = Context{"org_2", "Zwei", "proj_2", "null"}
			if err := f.SetContext(t.Context(), c, c.Context); err != nil {
				t.Fatal(err)
			}
			return c, ""
		},
		"another active context": func(t *testing.T, f CredentialsFile) (Credentials, string) {
			f.Context = "default"
			c, err := f.Read()
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Activate(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			return c, "default"
		},
	}
}

func TestEachWriteGoesToWhatBothPythonCLIsRead(t *testing.T) {
	cloud := identitytest.Start(ada)
	t.Cleanup(cloud.Close)
	for file, content := range contextFiles() {
		for name, write := range contextWrites(cloud) {
			t.Run(file+"/"+name, func(t *testing.T) {
				f := credentialsAt(t, content)
				active, want := nextCLI(t, content)
				_, mapped := cloudIn(t, content)["contexts"]
				login, now := write(t, f)
				if now != "" {
					active = now
				}
				got := contentOf(t, f.Path)
				if strings.Contains(got, cloud.URL) { // a renewal has moved the world
					_, want = nextCLI(t, strings.NewReplacer("https://cloud.example", cloud.URL, "https://cloud.corp.example", cloud.URL).Replace(content))
				}
				if login.Name == "" {
					login.Name = "default"
				}
				mapped = mapped || login.Name != "default"
				if def, found := want["default"]; mapped && found && def.Kind == "" {
					def.Kind = "cloud" // a map says so
					want["default"] = def
				}
				want[login.Name] = see(login)
				gotActive, contexts := nextCLI(t, got)
				for other := range want {
					if other != login.Name && strings.HasPrefix(name, "a renewal") {
						want[other] = contexts[other] // its tokens were replaced to make the renewal possible
					}
				}
				if gotActive != active || !reflect.DeepEqual(contexts, want) {
					t.Errorf("the next CLI reads\n%s: %+v\nwant\n%s: %+v\nin\n%s", gotActive, contexts, active, want, got)
				}
				if login.Name == active {
					if copied := todaysCLI(t, got); !reflect.DeepEqual(copied, want[active]) {
						t.Errorf("today's CLI reads\n%+v\nwant the active context\n%+v\nin\n%s", copied, want[active], got)
					}
				}
				if hasMap := strings.Contains(got, "contexts:"); hasMap != mapped {
					t.Errorf("the file has a map: %v; want %v, none is added without need:\n%s", hasMap, mapped, got)
				}
				checkKept(t, content, got)
				if again, err := f.Read(); err != nil || !again.Present() {
					t.Errorf("read back %s, %v", show(again), err)
				}
			})
		}
	}
}

// checkKept checks that all of the file that is no login's is there, in its order.
func checkKept(t *testing.T, before, after string) {
	t.Helper()
	at := 0
	for _, kept := range []string{"# mine\n", "theme: dark\n", "region: eu # here\n", "# on our own machines\n", "note: n1\n", "note: n2"} {
		if !strings.Contains(before, kept) {
			continue
		}
		found := strings.Index(after[at:], kept)
		if found < 0 {
			t.Errorf("%q was lost or has moved:\n%s", kept, after)
			continue
		}
		at += found
	}
}

func TestALogoutLeavesTheOtherContexts(t *testing.T) {
	for file, content := range contextFiles() {
		for _, all := range []string{"", "default"} {
			t.Run(fmt.Sprintf("%s, %q", file, all), func(t *testing.T) {
				f := credentialsAt(t, content)
				f.Context = all
				login, err := f.Read()
				if err != nil {
					t.Fatal(err)
				}
				active, want := nextCLI(t, content)
				left, err := f.Forget(t.Context(), login)
				if err != nil {
					t.Fatal(err)
				}
				if delete(want, cmpName(login)); len(want) == 0 {
					if _, err := f.Read(); !errors.Is(err, fs.ErrNotExist) || len(left.Names()) != 0 {
						t.Errorf("after the last logout: %v, %v left; want no file", err, left.Names())
					}
					checkFiles(t, f.Path, "credentials.lock")
					return
				}
				if active == cmpName(login) {
					active = slices.Sorted(maps.Keys(want))[0]
				}
				got := contentOf(t, f.Path)
				gotActive, contexts := nextCLI(t, got)
				if gotActive != active || !reflect.DeepEqual(contexts, want) || !slices.Equal(left.Names(), slices.Sorted(maps.Keys(want))) || left.Active != active {
					t.Errorf("the next CLI reads\n%s: %+v\nwant\n%s: %+v\nleft are %v, and %s is active", gotActive, contexts, active, want, left.Names(), left.Active)
				}
				if cmpName(login) != "onprem" {
					checkKept(t, content, got)
				}
				if copied := todaysCLI(t, got); login.Name != active && active == gotActive && cmpName(login) != active && f.Context == "" && !reflect.DeepEqual(copied, want[active]) {
					t.Errorf("today's CLI reads %+v; want the context that is active now: %+v", copied, want[active])
				}
			})
		}
	}
}

func cmpName(c Credentials) string {
	if c.Name == "" {
		return DefaultContext
	}
	return c.Name
}

func TestTheMapIsReadFirst(t *testing.T) {
	files := contextFiles()
	for file, want := range map[string]string{
		"a map with a copy that is stale":     "def_access",
		"a map, the second context is active": "on_access",
		"a map without an active one":         "def_access",
		"an active one that the map lacks":    "def_access",
		"a context with a key":                "arc_ci",
		"a legacy key beside the map":         "def_access",
	} {
		if got, err := credentialsAt(t, files[file]).Read(); err != nil || got.Token() != want {
			t.Errorf("%s: got %s, %v; want the token %s", file, show(got), err, want)
		}
	}
	if got, err := credentialsAt(t, "cloud:\n  contexts: {}\n  auth: {access_token: stale, expires_at: '', refresh_token: r}\n").Read(); err != nil || got.Present() {
		t.Errorf("an empty map gave %s, %v; want nobody, the copy does not count beside a map", show(got), err)
	}
}

func TestAContextIsChosenForOneCommand(t *testing.T) {
	f := credentialsAt(t, contextFiles()["a map"])
	f.Context = "onprem"
	if got, err := f.Read(); err != nil || got.Name != "onprem" || !got.SelfHosted() || got.CloudURL() != "https://cloud.corp.example" {
		t.Errorf("got %s, %v; want that of onprem, without the path of its API", show(got), err)
	}
	f.Context = "nowhere"
	var unknown *UnknownContextError
	if _, err := f.Read(); !errors.As(err, &unknown) || !slices.Equal(unknown.Names, []string{"default", "onprem"}) {
		t.Errorf("got %v; want an error with the names that there are", err)
	}
	flat := credentialsAt(t, contextFiles()["flat"])
	flat.Context = "default"
	if got, err := flat.Read(); err != nil || got.AccessToken != "def_access" {
		t.Errorf("a file without contexts gave %s, %v; want its login, which is the default", show(got), err)
	}
	flat.Context = "onprem"
	if _, err := flat.Read(); !errors.As(err, &unknown) || !slices.Equal(unknown.Names, []string{"default"}) {
		t.Errorf("got %v; want an error", err)
	}
}

func TestAMapOfAnotherShapeIsOfANewerProgramAndStays(t *testing.T) {
	for name, contexts := range map[string]string{
		"a list": "[{name: a}]", "a text": "onprem", "a number": "3", "a list in a context": "{a: [1]}", "a text in a context": "{a: b}",
		"a context without a name": "{'': {}}", "a list for a key": "{a: {api_key: [SENTINEL]}}",
		"merged from elsewhere": "{<<: {a: {api_key: SENTINEL}}}", "a list, and no map": "",
	} {
		t.Run(name, func(t *testing.T) {
			before := "cloud:\n  contexts: " + contexts + "\n  auth: {access_token: t, expires_at: '', refresh_token: r}\n"
			if contexts == "" {
				before = "cloud: [{name: home, kind: self_hosted}]\n"
			}
			f := credentialsAt(t, before)
			old := time.Now().Add(-time.Hour) // nobody is writing it
			if err := os.Chtimes(f.Path, old, old); err != nil {
				t.Fatal(err)
			}
			if got, err := f.Read(); !errors.Is(err, ErrCredentialsNewer) || got.Present() {
				t.Errorf("got %s, %v; want ErrCredentialsNewer", show(got), err)
			}
			login := oauthCredentials(time.Now())
			for what, err := range map[string]error{
				"a login": f.Write(t.Context(), login), "a change": f.SetContext(t.Context(), login, Context{}), "a choice": f.Activate(t.Context(), "a"),
			} {
				if !errors.Is(err, ErrCredentialsNewer) || strings.Contains(fmt.Sprint(err), "SENTINEL") {
					t.Errorf("%s gave %v; want ErrCredentialsNewer, and no word of the file", what, err)
				}
			}
			if got := contentOf(t, f.Path); got != before {
				t.Errorf("the file was changed to\n%s", got)
			}
		})
	}
}

func TestAnyNameOfAContextIsWrittenAsAText(t *testing.T) {
	for _, name := range []string{"null", "~", "123", "1e3", "0x1f", "true", "no", "2026-11-23", "a.b.example", "with blanks", "- a", "a: b", "#", "ë", "*a", "<<", "="} {
		f := credentialsAt(t, "")
		login := oauthCredentials(time.Now())
		login.Name, login.Kind = name, ArcadeCloud
		if err := f.Write(t.Context(), login); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got, err := f.Read(); err != nil || !sameLogin(got, login) {
			t.Errorf("%q: read back %s, %v", name, show(got), err)
		}
		var tags struct{ Cloud struct{ Contexts yaml.Node } }
		if err := yaml.Unmarshal([]byte(contentOf(t, f.Path)), &tags); err != nil || tags.Cloud.Contexts.Content[0].ShortTag() != "!!str" {
			t.Errorf("%q is written as something else than a text:\n%s", name, contentOf(t, f.Path))
		}
	}
}
