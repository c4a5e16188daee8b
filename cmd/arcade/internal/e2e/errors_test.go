package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// Each error says on the first line what happened and why, and on the second one what to do.
func TestEveryErrorSaysWhatHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, e := range encounters(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.happen(t)
		})
	}
}

// encounter is an error that a user meets, as testdata/errors tells of it:
//
//	# its name
//	given what is so before, see givens; one line for each
//	$ printf 'standard input' | VARIABLE=value arcade arguments
//	All that stderr gets. A last line of "..." stands for more.
//	[the exit code, unless it is 1]
//
// In braces stands what the machine gives, see fill. A secret command asks the machine's Engine by --host, with a key.
type encounter struct {
	file, name    string
	given         []string
	command, says string
	code          int
}

func encounters(t *testing.T) (all []encounter) {
	t.Helper()
	files, err := filepath.Glob("testdata/errors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, paragraph := range strings.Split(strings.TrimSpace(string(content)), "\n\n") {
			e := encounter{file: filepath.Base(file), code: 1}
			for _, line := range strings.Split(paragraph, "\n") {
				switch kind, rest, _ := strings.Cut(line, " "); {
				case kind == "#":
					e.name = rest
				case kind == "given":
					e.given = append(e.given, rest)
				case kind == "$":
					e.command = rest
				case strings.HasPrefix(line, "["):
					e.code, _ = strconv.Atoi(strings.Trim(line, "[]"))
				default:
					e.says += line + "\n"
				}
			}
			all = append(all, e)
		}
	}
	return all
}

var commandLine = regexp.MustCompile(`^(?:printf '(.*)' \| )?((?:[A-Z_]+=\S* )*)arcade ?(.*)$`)

func (e encounter) happen(t *testing.T) {
	s := newMachine(t)
	parts := commandLine.FindStringSubmatch(e.command)
	if parts == nil {
		t.Fatalf("%q is no command", e.command)
	}
	args := strings.Fields(parts[3])
	switch args[0] {
	case "secret":
		args = slices.Insert(args, 1, "--host", "localhost", "--port", "{engine}")
		s.Env = append(s.Env, "ARCADE_API_KEY="+testbed.EngineKey, "ARCADE_USAGE_TRACKING=0")
	case "usage":
		s.Env = append(s.Env, testbed.Flusher) // nothing else delivers
	default:
		s.Env = append(s.Env, "ARCADE_USAGE_TRACKING=0")
	}
	cmd := s.Command(args...)
	cmd.Stdin = strings.NewReader(unquoted(t, s.fill(parts[1])))
	cmd.Env = append(cmd.Env, "OUTBOX_FLUSHER=") // it has an input, so it would be a flusher
	for _, given := range e.given {
		what, detail, _ := strings.Cut(given, ": ")
		make, known := givens()[what]
		if !known {
			t.Fatalf("nothing is known of %q", what)
		}
		make(s, cmd, s.fill(detail))
	}
	for i, arg := range cmd.Args {
		cmd.Args[i] = strings.ReplaceAll(s.fill(arg), "{blank}", " ")
	}
	for _, variable := range strings.Fields(parts[2]) {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(s.fill(variable), "{blank}", " "))
	}
	r := s.Finish(cmd)
	want, more := strings.CutSuffix(s.fill(e.says), "...\n")
	if r.Code != e.code || r.Stderr != want && !(more && strings.HasPrefix(r.Stderr, want)) {
		t.Errorf("exit code %d and on stderr\n%s\nwant %d and\n%s", r.Code, r.Stderr, e.code, want)
	}
	if strings.Contains(r.Stdout+r.Stderr, sentinel) {
		t.Errorf("what may be a secret is repeated: %q", r.Stdout+r.Stderr)
	}
	if got := s.Engine.Requests(); e.file != "engine.txt" && len(got) != 0 {
		t.Errorf("the Engine got %v, want nothing: the error was there before", got)
	}
}

// fill puts what only the machine knows, or what a line cannot hold, into a text.
func (s *machine) fill(text string) string {
	return strings.NewReplacer("{home}", s.Home, "{cloud}", testbed.PortOf(s.Cloud.URL), "{engine}", testbed.PortOf(s.Engine.URL),
		"{callback}", strconv.Itoa(s.Callback),
		"{sentinel}", sentinel, "{endless}", strings.Repeat("x", 10_000), "{bom}", "\ufeff", "{HOME}", track.HomeVariable,
		"{tokens}", "auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00.123456}",
		"{project}", "context: {org_id: o, org_name: O, project_id: p, project_name: P}").Replace(text)
}

// unquoted reads the escapes of a Go string.
func unquoted(t testing.TB, text string) string {
	t.Helper()
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return plain
}

// given makes something so before the command.
type given func(s *machine, cmd *exec.Cmd, detail string)

func givens() map[string]given {
	behaviour := func(change func(b *identitytest.Behaviour)) given {
		return func(s *machine, _ *exec.Cmd, _ string) { s.Cloud.Set(change) }
	}
	return map[string]given{
		"a file": func(s *machine, _ *exec.Cmd, detail string) {
			name, content, _ := strings.Cut(detail, " ")
			s.writeAt(name, unquoted(s, content))
		},
		"credentials": func(s *machine, _ *exec.Cmd, cloud string) { s.writeFile("credentials.yaml", "cloud: "+cloud+"\n") },
		"everybody may read them": func(s *machine, _ *exec.Cmd, _ string) {
			onlyUnixSaysSo(s)
			s.Require(os.Chmod(s.Path("credentials.yaml"), 0o644))
		},
		"a login of another user": func(s *machine, _ *exec.Cmd, _ string) {
			onlyUnixSaysSo(s)
			s.loggedInAt("http://localhost:1")
			if os.Chown(s.Path("credentials.yaml"), 12345, 12345) != nil { // only root may
				s.Require(os.Remove(s.Path("credentials.yaml")))
				s.Require(os.Symlink("/etc/passwd", s.Path("credentials.yaml")))
			}
		},
		"a directory in place of the credentials": func(s *machine, _ *exec.Cmd, _ string) {
			onlyUnixSaysSo(s)
			s.writeFile("credentials.yaml/x", "")
		},
		"a home that is a link to nowhere": func(s *machine, _ *exec.Cmd, _ string) {
			onlyUnixSaysSo(s)
			s.Require(os.Symlink(filepath.Join(s.Home, "gone", "away"), s.Path("")))
		},
		"a self-hosted context": func(s *machine, _ *exec.Cmd, _ string) {
			const context = "{kind: self_hosted, engine_url: 'https://engine.corp.example', {tokens}, {project}}"
			s.writeFile("credentials.yaml", s.fill("cloud: {contexts: {onprem: "+context+"}}\n"))
		},
		"no --host": func(_ *machine, cmd *exec.Cmd, _ string) {
			at := slices.Index(cmd.Args, "--host")
			cmd.Args = slices.Delete(cmd.Args, at, at+4)
		},
		"a directory as standard input": func(s *machine, cmd *exec.Cmd, _ string) {
			onlyUnixSaysSo(s)
			cmd.Stdin = s.opened(s.Home, os.O_RDONLY)
		},
		"a full disk for standard output": func(s *machine, cmd *exec.Cmd, _ string) {
			if _, err := os.Stat("/dev/full"); err != nil {
				s.Skip("this system has no file that is always full: ", err)
			}
			cmd.Stdout = s.opened("/dev/full", os.O_WRONLY)
		},

		"a person": func(s *machine, _ *exec.Cmd, name string) { s.meet(name) },
		"a login": func(s *machine, _ *exec.Cmd, _ string) {
			s.meet("ada")
			s.Login()
		},
		"that login has ended": func(s *machine, _ *exec.Cmd, _ string) {
			s.expire()
			s.spoilRefreshToken()
		},
		"no organization any more": func(s *machine, _ *exec.Cmd, _ string) {
			s.Cloud.Override(identitytest.OrgsPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":{"items":[]}}`) })
		},
		"a refusal in the browser": func(s *machine, _ *exec.Cmd, _ string) {
			s.Cloud.Override(identitytest.AuthorizePath, func(w http.ResponseWriter, r *http.Request) {
				const refusal = "?error=access_denied&error_description=not+today&state="
				http.Redirect(w, r, r.FormValue("redirect_uri")+refusal+r.FormValue("state"), http.StatusFound)
			})
		},
		"a Cloud that knows keys only": func(s *machine, _ *exec.Cmd, _ string) {
			s.Cloud.Override(identitytest.ConfigPath, http.NotFound)
		},
		"a token endpoint without https": behaviour(func(b *identitytest.Behaviour) { b.TokenURL = "http://token.example.com/token" }),

		"the Engine fails": func(s *machine, _ *exec.Cmd, words string) { s.engineFault(strings.Fields(words)) },
		"the Engine lists": func(s *machine, _ *exec.Cmd, document string) { s.Engine.Answer(document) },
		"the Engine has":   func(s *machine, _ *exec.Cmd, key string) { s.Engine.Add(secretstest.Item{Key: key}) },

		"an event that waits": func(s *machine, _ *exec.Cmd, _ string) { s.offlineEvent() },
		"a statement":         func(s *machine, _ *exec.Cmd, statement string) { s.Change(statement) },
		"an alias that waits for Arcade Cloud": func(s *machine, _ *exec.Cmd, _ string) {
			s.Cloud.Hang(identitytest.ValidatePath)
			s.WriteCredentials(sentinel)
			s.Must("succeed")
		},
		"PostHog answers": func(s *machine, _ *exec.Cmd, fault string) {
			s.Online()
			s.Posthog.SetFault(outboxtest.MustFault(fault))
		},
		"a flush that was told to wait": func(s *machine, _ *exec.Cmd, _ string) { s.Run("usage", "flush") },
		"a flusher that waits for an answer": func(s *machine, _ *exec.Cmd, _ string) {
			s.Posthog.SetFault(outboxtest.MustFault("hang"))
			s.With("OUTBOX_FLUSHER=").Must("succeed")
			box, err := outbox.New(outbox.Config{Path: s.Path("usage.db")})
			s.Require(err)
			s.Eventually("a flusher is at work", box.Flushing)
		},
	}
}

// onlyUnixSaysSo skips an error that quotes the system.
func onlyUnixSaysSo(s *machine) {
	if runtime.GOOS == "windows" {
		s.Skip("Windows has other words for it")
	}
}
