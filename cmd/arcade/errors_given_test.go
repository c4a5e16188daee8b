package main

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

func variable(setting string) func(*stage, *exec.Cmd) {
	return func(s *stage, cmd *exec.Cmd) { cmd.Env = append(cmd.Env, s.fill(setting)) }
}

// file is the home with a file in it.
func file(name, content string) func(*stage, *exec.Cmd) {
	return func(s *stage, _ *exec.Cmd) {
		path := filepath.Join(s.home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			s.Fatal(err)
		}
	}
}

// cloudFile is a login by these members of `cloud` in credentials.yaml, and by no key.
func cloudFile(members ...string) func(*stage, *exec.Cmd) {
	return func(s *stage, cmd *exec.Cmd) {
		s.writeCloud(members...)
		cmd.Env = append(cmd.Env, "ARCADE_API_KEY=")
	}
}

func directoryAsCredentials(s *stage, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	file(".arcade/credentials.yaml/x", "")(s, cmd)
}

func fileAsHome(s *stage, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	file(".arcade", "")(s, cmd)
}

func homeThatLeadsNowhere(s *stage, _ *exec.Cmd) {
	onlyUnixSaysSo(s)
	s.cloud.meet("ada")
	if err := os.Symlink(filepath.Join(s.home, "gone", "away"), filepath.Join(s.home, ".arcade")); err != nil {
		s.Fatal(err)
	}
}

func directoryAsInput(s *stage, cmd *exec.Cmd) {
	onlyUnixSaysSo(s)
	directory, err := os.Open(s.home)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { directory.Close() })
	cmd.Stdin = directory
}

func fullOutput(s *stage, cmd *exec.Cmd) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		s.Skip("this system has no file that is always full: ", err)
	}
	s.Cleanup(func() { full.Close() })
	cmd.Stdout = full
}

// onlyUnixSaysSo skips an error that quotes the system.
func onlyUnixSaysSo(s *stage) {
	if runtime.GOOS == "windows" {
		s.Skip("Windows has other words for it")
	}
}

func engineFails(fault secretstest.Fault) func(*stage, *exec.Cmd) {
	return func(s *stage, _ *exec.Cmd) { s.engine.Inject(fault) }
}

func refusesToDelete(s *stage, _ *exec.Cmd) {
	s.secret("set", "A=1")
	s.engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403, Method: "DELETE"})
}

func engineOfNoAuthority(s *stage, _ *exec.Cmd) {
	s.engine = secretstest.StartTLS(engineKey)
	s.Cleanup(s.engine.Close)
}

func offlineEvent(s *stage, _ *exec.Cmd) {
	s.offline()
	s.must("succeed")
	s.awaitNoFlusher()
}

// afterwards changes the database of an offline machine with one event.
func afterwards(statement string) func(*stage, *exec.Cmd) {
	return func(s *stage, cmd *exec.Cmd) {
		offlineEvent(s, cmd)
		db, err := sql.Open("sqlite", "file:"+s.path("usage.db")+"?_busy_timeout=5000")
		if err != nil {
			s.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			s.Fatal(err)
		}
	}
}

// aliasThatWaits leaves an alias as message 2, of a key that Cloud says nothing about, offline.
func aliasThatWaits(s *stage, cmd *exec.Cmd) {
	s.cloud.hang(true)
	offlineEvent(s, cmd)
	s.writeCredentials(sentinel)
	s.must("succeed")
	s.awaitNoFlusher()
}

func toldToWait(s *stage, cmd *exec.Cmd) {
	offlineEvent(s, cmd)
	s.online()
	s.posthog.SetFault(fault("429:retry-after=1830"))
	s.run("usage", "flush")
}

// busyFlusher lets a flusher of the background wait for an answer.
func busyFlusher(s *stage, _ *exec.Cmd) {
	s.posthog.SetFault(fault("hang"))
	s.must("succeed")
	box := outbox.New(outbox.Config{Path: s.path("usage.db"), Now: time.Now})
	s.eventually("a flusher is at work", box.FlusherRunning)
}
