package main

import (
	"fmt"
	"os"
	"path/filepath"
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

func TestWrongUsageOfSecretSendsNothing(t *testing.T) {
	tests := []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"set without anything", "", []string{"set"},
			"Either provide KEY=VALUE pairs or use --from-env to load from .env file."},
		{"set with an env file and nothing else", "", []string{"set", "-f", ".env"},
			"Either provide KEY=VALUE pairs or use --from-env to load from .env file."},
		{"set with pairs and --from-env", "", []string{"set", "A=" + sentinel, "--from-env"},
			"Cannot use both KEY=VALUE pairs and --from-env at the same time."},
		{"set with pairs and an env file", "", []string{"set", "A=" + sentinel, "-f", ".env"},
			"--env-file is only used with --from-env."},
		{"a pair without =", "", []string{"set", "A=1", sentinel},
			"argument 2: there is no = in it; write KEY=VALUE, or KEY=- to read the value from standard input."},
		{"a lone key without a terminal to ask on", sentinel, []string{"set", "KEY"},
			"argument 1: there is no terminal to ask for the value on; write KEY=- to read it from standard input."},
		{"an empty key", "", []string{"set", "A=1", "=" + sentinel}, "argument 2: there is no key before the =."},
		{"a blank key", "", []string{"set", "  =" + sentinel}, "argument 1: there is no key before the =."},
		{"an empty value", "", []string{"set", "A=1", "B="}, "argument 2 ('B'): the value is empty."},
		{"a blank value", "", []string{"set", "B= \t "}, "argument 1 ('B'): the value is empty."},
		{"a blank in a key", "", []string{"set", "my key=" + sentinel},
			"argument 1 ('my key'): a key must not contain blanks or control characters."},
		{"a key twice", "", []string{"set", "A=1", "A=" + sentinel}, "argument 2 ('A'): an earlier argument sets the same key."},
		{"standard input twice", sentinel, []string{"set", "A=-", "B=-"},
			"argument 2 ('B'): only one value can come from standard input."},
		{"nothing on standard input", "\n", []string{"set", "A=1", "B=-"}, "argument 2 ('B'): the value is empty."},
		{"standard input that is not text", "\xff" + sentinel, []string{"set", "B=-"}, "argument 1 ('B'): it is not valid UTF-8."},
		{"control characters in a key", "", []string{"set", "a\x1b[31mb=" + sentinel},
			"argument 1 ('ab'): a key must not contain blanks or control characters."},
		{"a value in place of a flag", "", []string{"set", "A", "-" + sentinel},
			"there is no such flag; a value that starts with - is written KEY=-value."},
		{"a value in place of a long flag", "", []string{"set", "A", "--" + sentinel},
			"there is no such flag; a value that starts with - is written KEY=-value."},
		{"a word in place of a flag", "", []string{"set", "A", "--hunter"}, "there is no such flag; a value"},
		{"an argument to list", "", []string{"list", sentinel}, "this command takes no arguments."},
		{"unset without a key", "", []string{"unset"}, "give at least one key to delete."},
		{"an unknown subcommand", "", []string{sentinel}, "unknown command for 'arcade secret'."},
		{"a password in the host", "", []string{"list", "--host", "me:" + sentinel + "@localhost"},
			"the host must not contain a user name or password"},
		{"an address in place of the host", "", []string{"list", "-h", "https://api.arcade.dev"}, "the host must not contain http:// or https://"},
		{"a flag in place of the host", "", []string{"list", "-h", "--json"}, "--host needs a value."},
		{"a port that is none", "", []string{"list", "-p", sentinel}, "the port must be a number from 1 to 65535."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			r := s.secretWith(tt.stdin, tt.args...)
			if r.code != exitUsage {
				t.Errorf("exit code %d, want %d", r.code, exitUsage)
			}
			if !strings.Contains(r.stderr, "Error: "+tt.want) {
				t.Errorf("stderr is %q, want %q in it", r.stderr, tt.want)
			}
			if !strings.Contains(r.stderr, "\nRun 'arcade secret") {
				t.Errorf("stderr is %q, want to be told where help is", r.stderr)
			}
			if strings.Contains(r.stdout+r.stderr, sentinel) {
				t.Errorf("the value is repeated: %q", r.stdout+r.stderr)
			}
			if got := s.engine.Requests(); len(got) != 0 {
				t.Errorf("the Engine got %v, want nothing at all", got)
			}
		})
	}
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

func TestEnvFilesThatCannotBeUsedSendNothing(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"not UTF-8", "A=" + sentinel + "\nB=\xff\n", "it is not UTF-8 text; save it as UTF-8."},
		{"UTF-16", "A\x00=\x001\x00", "it is not UTF-8 text; save it as UTF-8."},
		{"larger than 1 MB", "A=" + sentinel + "\n#" + strings.Repeat("x", 1<<20), "it is larger than 1 MB; name a file with nothing but secrets in it."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			path := filepath.Join(s.home, "bad.env")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s.wantEnvFailure("bad.env", tt.want)
		})
	}
	t.Run("not readable", func(t *testing.T) {
		s := newStage(t)
		path := filepath.Join(s.home, "bad.env")
		if err := os.WriteFile(path, []byte("A="+sentinel), 0o200); err != nil {
			t.Fatal(err)
		}
		if f, err := os.Open(path); err == nil { // root reads everything
			f.Close()
			t.Skip("permissions mean nothing to this user")
		}
		s.wantEnvFailure("bad.env", "it cannot be read; check its permissions.")
	})
	t.Run("behind a file that is no directory", func(t *testing.T) {
		s := newStage(t)
		if err := os.WriteFile(filepath.Join(s.home, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.wantEnvFailure("file/bad.env", "it cannot be read; check its permissions.")
	})
}

func (s *stage) wantEnvFailure(path, want string) {
	s.Helper()
	r := s.secret("set", "--from-env", "--env-file", path)
	if r.code != exitFailure || !strings.Contains(r.stderr, fmt.Sprintf("Error: cannot use '%s': %s", path, want)) {
		s.Errorf("exit code %d, %q; want 1 and %q", r.code, r.stderr, want)
	}
	if strings.Contains(r.stdout+r.stderr, sentinel) {
		s.Errorf("the file's content is repeated: %q", r.stdout+r.stderr)
	}
	if got := s.engine.Requests(); len(got) != 0 {
		s.Errorf("the Engine got %v, want nothing", got)
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
	failures := []struct {
		name string
		file []string
		want string
	}{
		{"no credentials", nil, "Error: you are not logged in.\nRun 'arcade login'.\n"},
		{"a file that says nothing", []string{project}, "Error: you are not logged in.\nRun 'arcade login'.\n"},
		{"an expired token", []string{expired, project},
			"Error: your login has expired.\nRun 'arcade logout', then 'arcade login'; or set ARCADE_API_KEY.\n"},
		{"a damaged file", []string{"["}, "Error: the credentials file cannot be read"},
	}
	for _, tt := range failures {
		t.Run(tt.name+" ends the command", func(t *testing.T) {
			s := newStage(t)
			s.writeCloud(tt.file...)
			s.env = append(s.env, "ARCADE_USAGE_TRACKING=0")
			for _, args := range [][]string{{"list"}, {"set", "A=1"}, {"unset", "A"}} {
				r := s.run(append([]string{"secret", "-h", "localhost", "-p", s.enginePort()}, args...)...)
				if r.code != exitFailure || !strings.HasPrefix(r.stderr, tt.want) {
					t.Errorf("%s: exit code %d, %q; want 1 and %q", args[0], r.code, r.stderr, tt.want)
				}
			}
			if got := s.engine.Requests(); len(got) != 0 {
				t.Errorf("the Engine got %v, want nothing without credentials", got)
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
