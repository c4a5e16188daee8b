package e2e

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

func variable(setting string) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) { cmd.Env = append(cmd.Env, s.fill(setting)) }
}

// file is the home with a file in it.
func file(name, content string) func(*machine, *exec.Cmd) {
	return func(s *machine, _ *exec.Cmd) {
		path := filepath.Join(s.Home, filepath.FromSlash(name))
		s.Require(os.MkdirAll(filepath.Dir(path), 0o700))
		s.Require(os.WriteFile(path, []byte(content), 0o600))
	}
}

// cloudFile is a login by these members of `cloud` in credentials.yaml, and by no key.
func cloudFile(members ...string) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) {
		s.writeCloud(members...)
		cmd.Env = append(cmd.Env, "ARCADE_API_KEY=")
	}
}

// selfHosted is a home whose only context is self-hosted, with these variables.
func selfHosted(variables ...string) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) {
		s.writeFile("credentials.yaml", `cloud:
  contexts:
    onprem:
      kind: self_hosted
      engine_url: https://engine.corp.example
      auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00.123456}
      context: {org_id: o, org_name: O, project_id: p, project_name: P}
`)
		cmd.Env = append(append(cmd.Env, "ARCADE_API_KEY="), variables...)
	}
}

// withoutHost takes the host off the command line that each secret command of the table has.
func withoutHost(given func(*machine, *exec.Cmd)) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) {
		at := slices.Index(cmd.Args, "--host")
		cmd.Args = slices.Delete(cmd.Args, at, at+4)
		given(s, cmd)
	}
}

func readableLogin(s *machine, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	cloudFile("auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00.123456}")(s, cmd)
	s.Require(os.Chmod(s.Path("credentials.yaml"), 0o644))
}

// today is an Arcade Cloud that logs in by OAuth, in the place of the stage's own.
func today(change func(b *identitytest.Behaviour)) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) {
		twin := testbed.Ada()
		twin.Orgs[0].Projects = append(twin.Orgs[0].Projects, identitytest.Project{ID: "proj_4", Name: "Twin"}, identitytest.Project{ID: "proj_5", Name: "Twin"})
		cloud := s.OAuth(twin, identitytest.Person{PrincipalID: "lone", Email: "lone@example.com"},
			identitytest.Person{PrincipalID: "empty", Email: "empty@example.com", Orgs: []identitytest.Org{{ID: "org_9", Name: "Empty"}}})
		if change != nil {
			cloud.Set(change)
		}
		s.today = cloud
		for i := range cmd.Args {
			cmd.Args[i] = strings.ReplaceAll(cmd.Args[i], "{cloud}", testbed.At(cloud)[3])
		}
	}
}

// loggedInToday is a login there, and what came afterwards.
func loggedInToday(then func(s *machine, cloud *identitytest.Cloud)) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) {
		today(nil)(s, cmd)
		s.Must(append([]string{"login"}, testbed.At(s.today)...)...)
		if then != nil {
			then(s, s.today)
		}
	}
}

// spoilRefreshToken makes the refresh token one that was never handed out.
func (s *machine) spoilRefreshToken() {
	s.Helper()
	s.writeFile("credentials.yaml", regexp.MustCompile(`refresh_token: .*`).ReplaceAllString(s.ReadFile("credentials.yaml"), "refresh_token: "+sentinel))
}

// keyInForce is a login that works, and a key in the environment that does not.
func keyInForce(s *machine, cmd *exec.Cmd) {
	s.Cloud.Meet("ada")
	s.WriteCredentials("arc_ada")
	cmd.Env = append(cmd.Env, "ARCADE_API_KEY="+sentinel, testbed.TestProduction+"=cloud.arcade.dev="+s.Cloud.URL)
}

func directoryAsCredentials(s *machine, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	file(".arcade/credentials.yaml/x", "")(s, cmd)
}

func fileAsHome(s *machine, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	file(".arcade", "")(s, cmd)
}

func homeThatLeadsNowhere(s *machine, _ *exec.Cmd) {
	onlyUnixSaysSo(s)
	s.Cloud.Meet("ada")
	s.Require(os.Symlink(filepath.Join(s.Home, "gone", "away"), filepath.Join(s.Home, ".arcade")))
}

func directoryAsInput(s *machine, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	directory, err := os.Open(s.Home)
	s.Require(err)
	s.Cleanup(func() { directory.Close() })
	cmd.Stdin = directory
}

func fullOutput(s *machine, cmd *exec.Cmd) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		s.Skip("this system has no file that is always full: ", err)
	}
	s.Cleanup(func() { full.Close() })
	cmd.Stdout = full
}

// onlyUnixSaysSo skips an error that quotes the system.
func onlyUnixSaysSo(s *machine) {
	if runtime.GOOS == "windows" {
		s.Skip("Windows has other words for it")
	}
}

func engineFails(fault secretstest.Fault) func(*machine, *exec.Cmd) {
	return func(s *machine, _ *exec.Cmd) { s.Engine.Inject(fault) }
}

func refusesToDelete(s *machine, _ *exec.Cmd) {
	s.secret("set", "A=1")
	s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403, Method: "DELETE"})
}

func engineOfNoAuthority(s *machine, _ *exec.Cmd) {
	s.Engine = secretstest.StartTLS(testbed.EngineKey)
	s.Cleanup(s.Engine.Close)
}

func offlineEvent(s *machine, _ *exec.Cmd) {
	s.Offline()
	s.Must("succeed")
	s.AwaitNoFlusher()
}

// afterwards changes the database of an offline machine with one event.
func afterwards(statement string) func(*machine, *exec.Cmd) {
	return func(s *machine, cmd *exec.Cmd) {
		offlineEvent(s, cmd)
		change(s, statement)
	}
}

func change(s *machine, statement string) {
	s.Helper()
	db, err := sql.Open("sqlite", "file:"+s.Path("usage.db")+"?_busy_timeout=5000")
	s.Require(err)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		s.Fatal(err)
	}
}

// aliasThatWaits leaves an alias as message 2, of a key that Cloud says nothing about, offline.
func aliasThatWaits(s *machine, cmd *exec.Cmd) {
	s.Cloud.Hang(true)
	offlineEvent(s, cmd)
	s.WriteCredentials(sentinel)
	s.Must("succeed")
}

func toldToWait(s *machine, cmd *exec.Cmd) {
	offlineEvent(s, cmd)
	s.Online()
	s.Posthog.SetFault(outboxtest.MustFault("429:retry-after=1830"))
	s.Run("usage", "flush")
}

// busyFlusher lets a flusher of the background wait for an answer.
func busyFlusher(s *machine, _ *exec.Cmd) {
	s.Posthog.SetFault(outboxtest.MustFault("hang"))
	s.With("OUTBOX_FLUSHER=").Must("succeed")
	box, err := outbox.New(outbox.Config{Path: s.Path("usage.db")})
	s.Require(err)
	s.Eventually("a flusher is at work", box.Flushing)
}
