package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// sentinel stands for a value that nobody may see.
const sentinel = "sentinel-0123456789-value"

// secret runs `arcade secret args...` against the stage's Engine, without tracking.
func (s *stage) secret(args ...string) result {
	s.Helper()
	return s.secretWith("", args...)
}

func (s *stage) secretWith(stdin string, args ...string) result {
	s.Helper()
	cmd := s.command(append([]string{"secret", "--host", "localhost", "--port", s.enginePort()}, args...)...)
	cmd.Env = append(cmd.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+engineKey)
	cmd.Stdin = strings.NewReader(stdin)
	return s.finish(cmd)
}

func TestABareHIsHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"list", "-h"}, {"set", "A=" + sentinel, "-h"}, {"set", "--help", "A="}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			s := newStage(t)
			r := s.secret(args...)
			if r.code != 0 || !strings.Contains(r.stdout, "Usage:\n  arcade secret") || r.stderr != "" {
				t.Errorf("exit code %d, %q, %q; want the help", r.code, r.stdout, r.stderr)
			}
			if got := s.engine.Requests(); len(got) != 0 {
				t.Errorf("the Engine got %v, want nothing: help was asked for", got)
			}
		})
	}
}

func TestSecretsArePresentedWithTheFirstCredentialsFound(t *testing.T) {
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
		{"the file's token comes third", "", []string{oauth}, "token-of-the-file", admin},
		{"a context selects its project", "", []string{oauth, project}, "token-of-the-file", scoped},
		{"a context beside a key does, too", "", []string{key, project}, "arc_file", scoped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.writeCloud(tt.file...)
			s.env = append(s.env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+tt.key)
			s.run("secret", "list", "-h", "localhost", "-p", s.enginePort())
			got := s.engine.Requests()
			if len(got) != 1 || got[0].Authorization != "Bearer "+tt.token || got[0].Path != tt.path {
				t.Errorf("the Engine got %+v, want one request with %s for %s", got, tt.token, tt.path)
			}
		})
	}
}

// writeCloud writes credentials.yaml with these members of `cloud`. Without any there is none.
func (s *stage) writeCloud(members ...string) {
	s.Helper()
	if len(members) == 0 {
		return
	}
	if err := os.MkdirAll(s.path(""), 0o700); err != nil {
		s.Fatal(err)
	}
	content := "cloud:\n  " + strings.Join(members, "\n  ") + "\n"
	if err := os.WriteFile(s.path("credentials.yaml"), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

func TestOneFailureOfTwentyIsNotHidden(t *testing.T) {
	s := newStage(t)
	var args []string
	for i := range 20 {
		args = append(args, fmt.Sprintf("KEY_%02d=%s", i, sentinel))
	}
	s.engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403, Key: "KEY_07"})
	r := s.secret(append([]string{"set"}, args...)...)
	if r.code != exitFailure {
		t.Errorf("exit code %d, want %d: one of twenty failed", r.code, exitFailure)
	}
	var want strings.Builder
	for i := range 20 {
		if i != 7 {
			fmt.Fprintf(&want, "Secret 'KEY_%02d' with value ending in ...alue set successfully\n", i)
		}
	}
	if r.stdout != want.String() {
		t.Errorf("stdout is\n%swant the nineteen others in the order given", r.stdout)
	}
	if n := s.engine.MostAtOnce(); n > 4 {
		t.Errorf("%d requests were under way at once, want at most four", n)
	}
}
