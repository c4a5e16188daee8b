package e2e

import (
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// sentinel stands for a value that nobody may see.
const sentinel = "sentinel-0123456789-value"

// secret runs `arcade secret args...` against the stage's Engine, without tracking.
func (s *machine) secret(args ...string) testbed.Result {
	s.Helper()
	return s.secretWith("", args...)
}

func (s *machine) secretWith(stdin string, args ...string) testbed.Result {
	s.Helper()
	cmd := s.Command(append([]string{"secret", "--host", "localhost", "--port", s.EnginePort()}, args...)...)
	cmd.Env = append(cmd.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+testbed.EngineKey)
	cmd.Stdin = strings.NewReader(stdin)
	return s.Finish(cmd)
}

func TestABareHIsHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"list", "-h"}, {"set", "A=" + sentinel, "-h"}, {"set", "--help", "A="}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			s := newMachine(t)
			r := s.secret(args...)
			if r.Code != 0 || !strings.Contains(r.Stdout, "Usage:\n  arcade secret") || r.Stderr != "" {
				t.Errorf("exit code %d, %q, %q; want the help", r.Code, r.Stdout, r.Stderr)
			}
			if got := s.Engine.Requests(); len(got) != 0 {
				t.Errorf("the Engine got %v, want nothing: help was asked for", got)
			}
		})
	}
}

func TestSecretsArePresentedWithTheFirstCredentialsFound(t *testing.T) {
	t.Parallel()
	const (
		key     = "api: {key: arc_file}"
		oauth   = "auth: {access_token: token-of-the-file, refresh_token: r, expires_at: 2999-01-01T00:00:00}"
		expired = "auth: {access_token: token-of-the-file, refresh_token: r, expires_at: 2020-01-01T00:00:00.123456}"
		project = "context: {org_id: org-1, project_id: proj/2}"
	)
	const admin, scoped = "/v1/admin/secrets", "/v1/orgs/org-1/projects/proj%2F2/secrets"
	tests := []struct {
		name, key   string
		file        []string
		token, path string
	}{
		{"the key in the environment comes first, and asks about its own project", "arc_env", []string{key, oauth, project}, "arc_env", admin},
		{"the key in the environment needs no file", "arc_env", nil, "arc_env", admin},
		{"the file's key comes second", "", []string{key, expired}, "arc_file", admin},
		{"the file's token comes third, and its context selects its project", "", []string{oauth, project}, "token-of-the-file", scoped},
		{"a context beside a key does, too", "", []string{key, project}, "arc_file", scoped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newMachine(t)
			s.writeCloud(tt.file...)
			s.Env = append(s.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+tt.key)
			s.Run("secret", "list", "-h", "localhost", "-p", s.EnginePort())
			got := s.Engine.Requests()
			if len(got) != 1 || got[0].Authorization != "Bearer "+tt.token || got[0].Path != tt.path {
				t.Errorf("the Engine got %+v, want one request with %s for %s", got, tt.token, tt.path)
			}
		})
	}
}

// A key that cannot be used is no reason to fall back on the login, and none to take its owner for the user.
func TestAKeyThatCannotBeUsedIsNobodys(t *testing.T) {
	t.Parallel()
	m, _ := loggedIn(t)
	for name, c := range map[string]struct {
		key       string
		context   string // ARCADE_CONTEXT, which beats a key
		anonymous bool
		notes     string // how a logout speaks of it
	}{
		"no key":                   {"", "", false, ""},
		"blanks":                   {" \t ", "", false, ""},
		"a control character":      {"arc\x01x", "", true, "Warning: the key in ARCADE_API_KEY cannot be used: "},
		"a blank inside":           {"arc x", "", true, "Warning: the key in ARCADE_API_KEY cannot be used: "},
		"quotes":                   {`"arc_x"`, "", true, "Warning: the key in ARCADE_API_KEY cannot be used: there are quotes"},
		"its name":                 {"ARCADE_API_KEY=arc_x", "", true, "Warning: the key in ARCADE_API_KEY cannot be used: "},
		"quotes, and a context":    {`"arc_x"`, "default", false, ""},
		"a key that can be used":   {"arc_x", "", true, "ARCADE_API_KEY is still set: commands go on using that key."},
		"a key beside a context":   {"arc_x", "default", false, ""},
		"a key with its line end":  {"arc_x\r\n", "", true, "ARCADE_API_KEY is still set: commands go on using that key."},
		"one longer than any is":   {strings.Repeat("x", 5000), "", true, "Warning: the key in ARCADE_API_KEY cannot be used: "},
		"a byte order mark before": {"\ufeffarc_x", "", true, "Warning: the key in ARCADE_API_KEY cannot be used: "},
	} {
		there := m.With("ARCADE_API_KEY="+c.key, "ARCADE_CONTEXT="+c.context)
		there.Run("succeed")
		found := there.Inspect()
		event := found.Messages[len(found.Messages)-1]
		if anonymous := event.DistinctID == nil || *event.DistinctID == found.Identity.AnonID; anonymous != c.anonymous ||
			strings.Contains(string(event.Properties), "org_1") == c.anonymous {
			t.Errorf("%s: the event is %v's and says %s; want it to be anonymous: %v", name, event.DistinctID, event.Properties, c.anonymous)
		}
		elsewhere := newMachine(t).With("ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+c.key, "ARCADE_CONTEXT="+c.context)
		if r := elsewhere.Run("logout"); c.context == "" && (r.Code != 0 || !strings.HasPrefix(r.Stderr, c.notes) || (c.notes == "") != (r.Stderr == "")) {
			t.Errorf("%s: logout says %q; want %q", name, r.Stderr, c.notes)
		}
	}
}

// writeCloud writes credentials.yaml with these members of `cloud`. Without any there is none.
func (s *machine) writeCloud(members ...string) {
	s.Helper()
	if len(members) == 0 {
		return
	}
	s.writeFile("credentials.yaml", "cloud:\n  "+strings.Join(members, "\n  ")+"\n")
}
