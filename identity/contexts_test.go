package identity

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// pythonReads is what the Python CLIs read: the next one the map of contexts, if it is there, and nothing else; today's
// what lies beside that. Both want all of auth and of context or none of it, and today's refuses an api beside auth: the
// tests compare each login as a whole.
func pythonReads(t *testing.T, content string) (active string, contexts map[string]any, today map[string]any) {
	t.Helper()
	var file struct{ Cloud map[string]any }
	if err := yaml.Unmarshal([]byte(content), &file); err != nil {
		t.Fatalf("%v:\n%s", err, content)
	}
	today = maps.Clone(file.Cloud)
	for _, other := range []string{"region", "active_context", "contexts"} {
		delete(today, other)
	}
	contexts, mapped := file.Cloud["contexts"].(map[string]any)
	if !mapped {
		return DefaultContext, map[string]any{DefaultContext: today}, today
	}
	active, _ = file.Cloud["active_context"].(string)
	if _, found := contexts[active]; !found {
		active = slices.Sorted(maps.Keys(contexts))[0] // the first in these files
	}
	return active, contexts, today
}

// checkPython checks what the Python CLIs read: the next one these contexts, and today's the active one.
func checkPython(t *testing.T, content, active string, want map[string]any) {
	t.Helper()
	gotActive, contexts, today := pythonReads(t, content)
	if gotActive != active || !reflect.DeepEqual(contexts, want) {
		t.Errorf("the next CLI reads\n%s: %+v\nwant\n%s: %+v\nin\n%s", gotActive, contexts, active, want, content)
	}
	if !reflect.DeepEqual(any(today), want[active]) {
		t.Errorf("today's CLI reads\n%+v\nwant the active context\n%+v\nin\n%s", today, want[active], content)
	}
}

// pythonLogin is a login as a Python CLI should read it.
func pythonLogin(c Credentials) map[string]any {
	login := map[string]any{"kind": c.Kind, "engine_url": c.EngineURL, "coordinator_url": c.CoordinatorURL, "dashboard_url": c.DashboardURL,
		"api_key": c.APIKey}
	if c.AccessToken != "" {
		login["auth"] = map[string]any{"access_token": c.AccessToken, "expires_at": c.pythonExpiry(), "refresh_token": c.RefreshToken}
	}
	if c.Context != (Context{}) {
		login["context"] = map[string]any{"org_id": c.OrgID, "org_name": c.OrgName, "project_id": c.ProjectID, "project_name": c.ProjectName}
	}
	if c.Email != "" {
		login["user"] = map[string]any{"email": c.Email, "account_id": c.AccountID}
	}
	maps.DeleteFunc(login, func(_ string, value any) bool { return value == "" })
	return login
}

const onpremEntry = `
      # on our own machines
      kind: self_hosted
      engine_url: https://engine.corp.example
      coordinator_url: https://cloud.corp.example/api/v1
      dashboard_url: https://arcade.corp.example
      auth: {access_token: on_access, expires_at: '2030-01-01T00:00:00.000000', refresh_token: on_refresh}
      user: {email: ada@corp.example, account_id: acc_on}
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

const keyEntry = `
      kind: self_hosted
      engine_url: https://engine.corp.example
      api_key: arc_ci
`

// flatOf is the copy of an entry that lies beside the map.
func flatOf(entry string) string { return strings.ReplaceAll(entry, "\n      ", "\n  ")[1:] }

// contextFiles are credentials.yaml as it is met.
func contextFiles() map[string]string {
	const mine, active = "# mine\ntheme: dark\ncloud:\n  region: eu # here\n", "  active_context: default\n"
	const one = "  contexts:\n    default:" + defaultEntry
	const both = one + "    onprem:" + onpremEntry
	flat := flatOf(defaultEntry)
	return map[string]string{
		"flat": mine + flat,
		"flat, without a kind, as the CLI of today leaves a file with contexts": mine + strings.Replace(flat, "  kind: cloud\n", "", 1),
		"a map":                               mine + active + both + flat,
		"a map, the second context is active": mine + "  active_context: onprem\n" + both + flatOf(onpremEntry),
		"a map without the copy":              mine + active + both,
		"a map with a copy that is stale":     mine + active + both + strings.ReplaceAll(flat, "def_", "stale_"),
		"a map without an active one":         mine + both + flat,
		"an active one that the map lacks":    mine + "  active_context: gone\n" + both + flat,
		"a context with a key":                mine + "  active_context: ci\n" + one + "    ci:" + keyEntry + flatOf(keyEntry),
		"one context, and none active":        mine + one + flat,
		"a legacy key beside the map":         mine + "  api: {key: arc_old, version: v1}\n" + active + both,
	}
}

// write changes the file, and what is to be read of it then. It returns the context that is active now, "" for the one
// that was, or the first of those that are left.
type write func(t *testing.T, f CredentialsFile, want map[string]any) (active string)

// contextWrites are all changes of the file.
func contextWrites() map[string]write {
	login := func(name, kind, engine string) write {
		return func(t *testing.T, f CredentialsFile, want map[string]any) string {
			c := oauthCredentials(time.Now())
			c.Name, c.Kind, c.EngineURL, c.AccountID = name, kind, engine, "acc_bob"
			must(t, f.Write(t.Context(), c))
			want[name] = pythonLogin(c)
			return name
		}
	}
	renew := func(name string) write {
		return func(t *testing.T, f CredentialsFile, want map[string]any) string {
			f.Context = name
			before, err := f.Read()
			if err != nil || before.AccessToken == "" {
				t.Skip("there is nothing to renew")
			}
			after, err := Session{File: f, HTTP: http.DefaultClient, Now: time.Now}.renewed(t.Context(), before)
			if err != nil || after.AccessToken == before.AccessToken {
				t.Errorf("got %s, %v; want other tokens", show(after), err)
			}
			want[cmp.Or(after.Name, DefaultContext)] = pythonLogin(after)
			return ""
		}
	}
	logout := func(name string) write {
		return func(t *testing.T, f CredentialsFile, want map[string]any) string {
			f.Context = name
			login, err := f.Read()
			must(t, err)
			left, err := f.Forget(t.Context(), login)
			must(t, err)
			delete(want, cmp.Or(login.Name, DefaultContext))
			if now, _ := f.Logins(); !slices.Equal(left.Names(), now.Names()) || len(want) > 0 && left.Active != now.Active {
				t.Errorf("told that %v are left, and %s is active; want %v and %s", left.Names(), left.Active, now.Names(), now.Active)
			}
			return ""
		}
	}
	return map[string]write{
		"a login":                    login("default", "cloud", ""),
		"a login in a new context":   login("staging", "cloud", ""),
		"a self-hosted login":        login("onprem", "self_hosted", "https://engine.corp.example"),
		"a renewal":                  renew(""),
		"a renewal of another login": renew("default"),
		"a logout":                   logout(""),
		"a logout of another login":  logout("default"),
		"another organization and project": func(t *testing.T, f CredentialsFile, want map[string]any) string {
			c, err := f.Read()
			c.Context = Context{"org_2", "Zwei", "proj_2", "null"}
			must(t, err, f.SetContext(t.Context(), c, c.Context))
			want[cmp.Or(c.Name, DefaultContext)] = pythonLogin(c)
			return ""
		},
		"another active context": func(t *testing.T, f CredentialsFile, _ map[string]any) string {
			must(t, f.Activate(t.Context(), "default"))
			return "default"
		},
	}
}

func TestEachWriteGoesToWhatBothPythonCLIsRead(t *testing.T) {
	cloud := identitytest.Start(ada)
	t.Cleanup(cloud.Close)
	for file, content := range contextFiles() {
		for name, write := range contextWrites() {
			t.Run(file+"/"+name, func(t *testing.T) {
				access, refresh := cloud.Login(ada.Email)
				onAccess, onRefresh := cloud.Login(ada.Email)
				content := strings.NewReplacer("def_access", access, "def_refresh", refresh, "on_access", onAccess, "on_refresh", onRefresh,
					"https://cloud.example", cloud.URL, "https://cloud.corp.example", cloud.URL).Replace(content)
				f := credentialsAt(t, content)
				active, want, _ := pythonReads(t, content)
				active = cmp.Or(write(t, f, want), active)
				names := slices.Sorted(maps.Keys(want))
				if len(names) == 0 {
					checkFiles(t, f.Path, "credentials.lock")
					return
				}
				if !slices.Contains(names, active) {
					active = names[0]
				}
				mapped := strings.Contains(content, "contexts:") || len(names) > 1 || active != DefaultContext
				if former, found := want[DefaultContext].(map[string]any); mapped && found {
					former["kind"] = "cloud" // a map says so
				}

				got := contentOf(t, f.Path)
				checkPython(t, got, active, want)
				if logins, err := f.Logins(); err != nil || logins.Active != active || !slices.Equal(logins.Names(), names) {
					t.Errorf("we read %v, and %s is active, %v; want the same", logins.Names(), logins.Active, err)
				}
				if hasMap := strings.Contains(got, "contexts:"); hasMap != mapped {
					t.Errorf("the file has a map: %v; want %v, none is added without need:\n%s", hasMap, mapped, got)
				}
				if !slices.Contains(names, "onprem") { // its comment went with it
					content, got = strings.ReplaceAll(content, "# on our", ""), strings.ReplaceAll(got, "# on our", "")
				}
				if before, after := linesOfOthers(content), linesOfOthers(got); !slices.Equal(before, after) {
					t.Errorf("of what is no login's %q is left; want %q, in this order:\n%s", after, before, got)
				}
			})
		}
	}
}

// linesOfOthers are those of contextFiles that are no login's.
func linesOfOthers(content string) []string {
	others := []string{"# mine", "theme: dark", "region: eu # here", "# on our own machines"}
	lines := strings.FieldsFunc(content, func(r rune) bool { return r == '\n' })
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return slices.DeleteFunc(lines, func(line string) bool { return !slices.Contains(others, line) })
}

func TestTheMapIsReadFirst(t *testing.T) {
	files := contextFiles()
	files["a map of one, and none active"] = "cloud: {contexts: {solo: {api_key: k}}}\n"
	files["an empty map, beside which the copy does not count"] = "cloud: {contexts: {}, auth: {access_token: stale}}\n"
	for _, c := range []struct {
		file, context string   // "": no context is chosen for the command
		token         string   // of the login that is read, "" for none
		names         []string // that are told in an error
	}{
		{"a map with a copy that is stale", "", "def_access", nil},
		{"a map, the second context is active", "", "on_access", nil},
		{"a map without an active one", "", "def_access", nil},
		{"an active one that the map lacks", "", "def_access", nil},
		{"a context with a key", "", "arc_ci", nil},
		{"a legacy key beside the map", "", "def_access", nil},
		{"a map of one, and none active", "", "k", nil},
		{"an empty map, beside which the copy does not count", "", "", nil},
		{"a map", "onprem", "on_access", nil},
		{"a map", "nowhere", "", []string{"default", "onprem"}},
		{"flat", "default", "def_access", nil}, // which has no name in the file
		{"flat", "onprem", "", []string{"default"}},
	} {
		f := credentialsAt(t, files[c.file])
		f.Context = c.context
		var unknown *UnknownContextError
		got, err := f.Read()
		if got.Token() != c.token || errors.As(err, &unknown) != (c.names != nil) || unknown == nil && err != nil {
			t.Errorf("%q of %s: got %s, %v; want the token %q", c.context, c.file, show(got), err, c.token)
		}
		if unknown != nil && !slices.Equal(unknown.Names, c.names) {
			t.Errorf("%q of %s: told %v; want the names that there are: %v", c.context, c.file, unknown.Names, c.names)
		}
	}
}

func TestAnyNameOfAContextIsWrittenAsAText(t *testing.T) {
	for _, name := range []string{
		"null", "~", "123", "1e3", "0x1f", "true", "no", "2026-11-23", "a.b.example", "with blanks", "- a", "a: b", "#", "ë", "*a", "<<", "=",
	} {
		f, login := credentialsAt(t, ""), oauthCredentials(time.Now())
		login.Name, login.AccountID = name, "acc_ada"
		must(t, f.Write(t.Context(), login))
		login.Kind = ArcadeCloud // which a map says
		if got, err := f.Read(); err != nil || !sameLogin(got, login) {
			t.Errorf("%q: read back %s, %v", name, show(got), err)
		}
		content := contentOf(t, f.Path)
		checkPython(t, content, name, map[string]any{name: pythonLogin(login)})
		var tags struct{ Cloud struct{ Contexts yaml.Node } }
		must(t, yaml.Unmarshal([]byte(content), &tags))
		if tags.Cloud.Contexts.Content[0].ShortTag() != "!!str" {
			t.Errorf("%q is written as something else than a text:\n%s", name, content)
		}
	}
}
