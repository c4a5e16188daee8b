package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// state is a home in which something stands still, and what status says about it.
type state struct {
	given func(s *machine)
	// as is the id of the user that looks, 0 for the test's own.
	as     int
	reason string
	code   int
	says   string // {home} is the home
}

// nobody is a user without any rights: root ignores modes, and may run the tests.
const nobody = 65534

func states() map[string]state {
	return map[string]state{
		"offline": {given: func(s *machine) { offlineEvent(s, nil); s.Run("usage", "flush") }, reason: "offline",
			says: "PostHog cannot be reached (connection refused). Nothing is lost. "},
		"behind a proxy that is gone": {given: func(s *machine) {
			s.Env = append(s.Env, "HTTP_PROXY=http://127.0.0.1:1", "ARCADE_USAGE_HOST=http://posthog.example")
			s.Run("succeed")
			s.Run("usage", "flush")
		}, reason: "proxy", says: "the proxy lets nothing through to PostHog (the proxy cannot be reached). Check HTTPS_PROXY and NO_PROXY."},
		"an unknown authority": {given: func(s *machine) {
			s.Posthog.Close()
			s.Require(s.Posthog.ListenTLS("127.0.0.1:0"))
			s.PosthogAt = s.Posthog.URL()
			s.Run("succeed")
			s.Run("usage", "flush")
		}, reason: "authority", says: "PostHog's certificate was signed by an unknown authority. If a proxy opens TLS,"},
		"a key that Cloud refuses": {given: func(s *machine) {
			s.WriteCredentials(sentinel)
			s.Must("succeed")
			s.Must("usage", "flush")
			s.Must("succeed")
			s.Must("usage", "flush")
		}, reason: "login_refused", says: "this key is not valid any more. Run 'arcade login --host 127.0.0.1:{cloud}'."},
		"a Cloud that says nothing": {given: func(s *machine) {
			s.Cloud.Hang(true)
			s.Must("succeed")
			s.WriteCredentials(sentinel)
			s.Must("succeed")
			s.Must("usage", "flush")
		}, reason: "login_unknown", says: "Arcade Cloud has not said yet who you are. The next delivery asks again."},
		"dead messages": {given: func(s *machine) {
			s.Must("succeed")
			s.Must("usage", "flush") // PostHog shows that it is one
			s.Posthog.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
			s.Must("succeed")
			s.Must("usage", "flush")
		}, reason: "dead", says: "1 message is dead: refused (rejected). 'arcade usage inspect --state dead' shows them, 'arcade usage retry' sends them once more."},
		"disabled": {given: func(s *machine) { s.Must("usage", "disable") }, reason: "disabled",
			says: "Tracking is off (arcade usage disable): nothing is recorded or sent. 'arcade usage enable' switches it on."},
		"a variable": {given: func(s *machine) { s.Env = append(s.Env, "DO_NOT_TRACK=1") }, reason: "variable",
			says: "Tracking is off (DO_NOT_TRACK): nothing is recorded or sent. Without DO_NOT_TRACK it is on"},
		"a full disk": {given: func(s *machine) {
			smallDisk(s, 0)
			s.Must("succeed")
			fillDisk(s)
		}, reason: "disk_full", code: 1, says: "Problem: The disk is full. Free some space: until then nothing is recorded or delivered. What waits is kept."},
		"a read-only disk": {given: func(s *machine) {
			smallDisk(s, 0)
			s.Must("succeed")
			smallDisk(s, syscall.MS_REMOUNT|syscall.MS_RDONLY)
		}, reason: "read_only", code: 1, says: "Problem: The disk is read-only. Make it writable, or set ARCADE_WORK_DIR to a directory that is."},
		"files of root's": {given: func(s *machine) {
			s.Must("succeed")
			openTo(s, nobody)
			chownAll(s, 0)
			s.Require(os.Lchown(s.Home, nobody, nobody)) // in a home of root's it would be another advice
		}, as: nobody, reason: "foreign_owner", code: 1, says: "belongs to root. Run 'sudo chown -R nobody {home}/.arcade'."},
		"a lock of root's": {given: func(s *machine) {
			s.Must("succeed")
			openTo(s, nobody)
			s.Require(os.Lchown(s.Path("usage.db.lock"), 0, 0))
		}, as: nobody, reason: "foreign_owner", code: 1, says: "usage.db.lock belongs to root. Run 'sudo chown -R nobody {home}/.arcade'."},
		"a flusher's lock of root's": {given: func(s *machine) {
			s.Must("succeed")
			s.Must("usage", "flush")
			openTo(s, nobody)
			s.Require(os.Lchown(s.Path("usage.db.flusher.lock"), 0, 0))
		}, as: nobody, reason: "foreign_owner", code: 1, says: "usage.db.flusher.lock belongs to root. Run 'sudo chown -R nobody {home}/.arcade'."},
		"a directory in a lock's place":            instead("usage.db.lock"),
		"a directory in the flusher's lock's":      instead("usage.db.flusher.lock"),
		"a directory in the place of the database": instead("usage.db"),
		"a directory without permission": {given: func(s *machine) {
			s.Must("succeed")
			openTo(s, nobody)
			s.Require(os.Chmod(s.Path("usage.db"), 0))
		}, as: nobody, reason: "permission", code: 1, says: "You may not use ~/.arcade/usage.db. Make it readable and writable for you, or set ARCADE_WORK_DIR to another directory."},
		"a link that leads nowhere in the place of the database": {given: func(s *machine) {
			s.Must("succeed")
			s.Require(errors.Join(os.Remove(s.Path("usage.db")), os.Symlink("nowhere/usage.db", s.Path("usage.db"))))
		}, reason: "dangling_link", code: 1, says: "Problem: ~/.arcade/usage.db is a link that leads nowhere. Move it away, or set ARCADE_WORK_DIR to another directory."},
		"three copies of damage": {given: func(s *machine) {
			for range 4 {
				s.Must("succeed")
				s.damage()
			}
			s.Must("succeed")
		}, reason: "damaged_copies", code: 1,
			says: "three copies of earlier damage are kept, so nothing is recorded. 'arcade usage clear' erases them"},
		"a database with an unforeseen fault": {given: func(s *machine) { s.Must("succeed"); change(s, "DELETE FROM delivery") }, reason: "database", code: 1,
			says: "Problem: The usage database cannot be used (read schedule: sql: no rows in result set). Please report it at https://github.com/ArcadeAI/arcade-cli/issues."},
		"a database that another process holds": {given: func(s *machine) {
			s.Must("succeed")
			holdDatabase(s)
		}, reason: "locked_database", code: 1, says: "Another process holds the usage database. Try again;"},
	}
}

// instead has a directory in a file's place.
func instead(name string) state {
	return state{given: func(s *machine) {
		s.Must("succeed")
		err := errors.Join(os.RemoveAll(s.Path(name)), os.Mkdir(s.Path(name), 0o700))
		s.Require(err)
	}, reason: "not_file", code: 1, says: "Problem: ~/.arcade/" + name + " is not a file. Move it away, or set ARCADE_WORK_DIR to another directory."}
}

// Status says what holds things up and what to do, in the words of every other command.
func TestStatusTellsEveryReason(t *testing.T) {
	t.Parallel()
	for name, test := range states() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.as != 0 && os.Geteuid() != 0 {
				t.Skip("only root can become another user")
			}
			s := newMachine(t)
			s.Env = append(s.Env, testbed.Flusher)
			test.given(s)
			look := func(args ...string) testbed.Result {
				cmd := s.Command(args...)
				if test.as != 0 {
					becomes(s, cmd, test.as)
				}
				return s.Finish(cmd)
			}
			refill := func() {
				if test.reason == "disk_full" { // the last process to close the database frees its WAL
					fillDisk(s)
				}
			}
			r := look("usage", "status")
			refill()
			text := strings.Join(strings.Fields(r.Stdout), " ")
			if want := s.fill(test.says); r.Code != test.code || !strings.Contains(text, want) {
				t.Errorf("status ends with %d and says\n%s%s\nwant %d and %q", r.Code, r.Stdout, r.Stderr, test.code, want)
			}
			var st cli.Status
			s.Require(json.Unmarshal([]byte(look("usage", "status", "--json").Stdout), &st))
			if st.Reason == nil || *st.Reason != test.reason || st.Advice == nil || *st.Advice == "" {
				t.Errorf("as JSON the reason is %v, want %s and an advice", st.Reason, test.reason)
			}
		})
	}
}

// The table is complete when each of its sentences was met by a process of this room.
func TestEveryAdviceIsMetSomewhere(t *testing.T) {
	excused := map[string]string{
		"certificate":         "the tests of outbox/httpsend have such a server",
		"certificate_name":    "TestEveryCommandNamesWhatStandsBetweenItAndItsServer has such a server",
		"descriptors":         "TestStatusSaysThatTooFewDescriptorsAreLeft in the fire room meets it",
		"no_process":          "TestStatusTellsOfAFlusherThatCouldNotBeStarted meets it",
		"timeout":             "the tests of outbox have silent servers",
		"time_up":             "TestFlushShowsThatItWaitsForTheFirstAnswer meets it",
		"sink":                "the tests of outbox have such sinks",
		"unreadable_database": "the fire room's disks fail for no reason",
	}
	met := map[string]bool{}
	for _, s := range states() {
		met[s.reason] = true
	}
	for _, family := range advice.Table() {
		for _, reason := range family.Reasons {
			what := strings.TrimSpace(strings.ReplaceAll(advice.PostHog().Fill(reason.What), "{file}", ""))
			for _, e := range encounters() {
				met[reason.ID] = met[reason.ID] || strings.Contains(e.says, what)
			}
			if _, ok := excused[reason.ID]; !met[reason.ID] && !ok {
				t.Errorf("no test meets %q (%s)", reason.ID, what)
			}
		}
	}
}

// damage makes the database one that SQLite calls damaged.
func (s *machine) damage() {
	s.Helper()
	for _, side := range []string{"-wal", "-shm"} {
		os.Remove(s.Path("usage.db" + side))
	}
	s.Require(os.WriteFile(s.Path("usage.db"), []byte(strings.Repeat("no database ", 1000)), 0o600))
}

// The circle that a refused key once led round: each command says the same.
func TestARefusedKeyIsCalledSoByEveryCommand(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	s.Env = append(s.Env, testbed.Flusher)
	states()["a key that Cloud refuses"].given(s)
	const says = "this key is not valid any more"
	for _, args := range [][]string{{"usage", "status"}, {"usage", "flush"}, {"whoami"}} {
		code := len(args) % 2 // a login that does not work is whoami's failure alone
		if r := s.Run(args...); r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) || !strings.Contains(r.Stdout+r.Stderr, "Run 'arcade login --host 127.0.0.1:") {
			t.Errorf("arcade %v ends with %d and says %q, want %d, %q and what to do", args, r.Code, r.Stdout+r.Stderr, code, says)
		}
	}
	var result cli.FlushResult
	s.Require(json.Unmarshal([]byte(s.Must("usage", "flush", "--json").Stdout), &result))
	if result.Held != 1 || result.Pending != 1 || result.Reason != "login_refused" || result.Advice != "log_in" || result.Error != "" {
		t.Errorf("flush --json says %+v, want one held message and why, and no error", result)
	}
	shown := s.shown(120, "", "usage", "inspect")
	if !strings.Contains(shown, says) {
		t.Errorf("inspect shows\n%s\nwant %q in its header", shown, says)
	}
}

// What a command could not record is told by the next status, until something was recorded.
func TestStatusTellsOfACommandThatCouldNotRecord(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	s.Env = append(s.Env, testbed.Flusher)
	s.Must("succeed")
	lock := s.Path("usage.db.lock")
	s.Require(errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)))
	s.Must("succeed")
	if r := s.Run("usage", "status"); r.Code != 1 || !strings.Contains(r.Stdout, "Problem:") {
		t.Errorf("meanwhile status ends with %d and says\n%s\nwant 1 and the problem", r.Code, r.Stdout)
	}
	s.Require(os.Remove(lock))
	r := s.Run("usage", "status")
	if r.Code != 0 || !strings.Contains(r.Stdout, "1 event was not recorded: not a file") {
		t.Errorf("status ends with %d and says\n%s\nwant that one was not recorded, and why", r.Code, r.Stdout)
	}
	s.Must("succeed")
	if st := s.Status(); st.LastMissed == nil || st.NotRecorded != 1 {
		t.Errorf("as JSON status knows of %d missed events, last %v; want one, also when others were recorded since", st.NotRecorded, st.LastMissed)
	}
}

// An update may take the program away from a command that is under way.
func TestStatusTellsOfAFlusherThatCouldNotBeStarted(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	s.Env = append(s.Env, testbed.TestAsIs+"=1")
	cmd := s.Command("wait")
	linkProgram(s, cmd)
	awaitFirstByte(s, cmd)
	s.Require(os.Remove(cmd.Path))
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	r := s.Run("usage", "status")
	if st := s.Status(); r.Code != 0 || !strings.Contains(r.Stdout, "1 time no flusher could be started") || st.Reason == nil || *st.Reason != "no_process" {
		t.Errorf("status ends with %d and says\n%s\nwant 0, and that no flusher could be started", r.Code, r.Stdout)
	}
	s.Must("usage", "flush")
	if out := s.Must("usage", "status").Stdout; strings.Contains(out, "could be started") {
		t.Errorf("after a delivery status still says\n%s", out)
	}
}

// Looking must not make what it looks for.
func TestStatusOfAnEmptyHomeCreatesNothing(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	out := s.Must("usage", "status").Stdout
	for _, want := range []string{"(not there yet)", "Nothing waits, and nothing was delivered yet."} {
		if !strings.Contains(out, want) {
			t.Errorf("status says\n%s\nwant %q", out, want)
		}
	}
	if _, err := os.Lstat(s.Path("")); !os.IsNotExist(err) {
		t.Errorf("status has made %s: %v", s.Path(""), err)
	}
}

// Off needs no room, and erasing does.
func TestDisableOnAFullDiskSaysThatRecordingIsOff(t *testing.T) {
	s := newMachine(t)
	s.Offline()
	smallDisk(s, 0)
	s.Must("succeed")
	s.AwaitNoFlusher()
	fillDisk(s)
	r := s.Run("usage", "disable")
	if r.Code != 1 || r.Stdout != "Usage is no longer recorded.\n" || !strings.Contains(r.Stderr, "what waits could not be erased: the disk is full") {
		t.Errorf("%+v; want that it is off, and that what waits is still there", r)
	}
	if st := s.Status(); st.Tracking {
		t.Error("it says that recording is off, and it is on")
	}
}

// smallDisk makes the home a small disk, or changes the one it is.
func smallDisk(s *machine, flags uintptr) {
	testbed.MountTmpfs(s.TB.(*testing.T), s.Home, testbed.Roomy, flags)
	if flags != 0 {
		s.Cleanup(func() { testbed.MountTmpfs(s.TB.(*testing.T), s.Home, testbed.Roomy, syscall.MS_REMOUNT) })
	}
}

func fillDisk(s *machine) {
	s.Helper()
	f, err := os.OpenFile(filepath.Join(s.Home, "filler"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	s.Require(err)
	defer f.Close()
	for portion := make([]byte, 4096); err == nil; {
		_, err = f.Write(portion)
	}
}

// openTo gives the home to another user, and a way to it.
func openTo(s *machine, uid int) {
	s.Helper()
	if os.Geteuid() != 0 {
		s.Skip("only root can give files away")
	}
	chownAll(s, uid)
	letIn(s, s.Home)
}

// letIn lets everybody into a directory of a test.
func letIn(s *machine, directory string) {
	s.Helper()
	for ; len(directory) > len(os.TempDir()); directory = filepath.Dir(directory) {
		s.Require(os.Chmod(directory, 0o755))
	}
}

func chownAll(s *machine, uid int) {
	s.Helper()
	err := filepath.Walk(s.Home, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	s.Require(err)
}

// becomes runs a command as another user.
func becomes(s *machine, cmd *exec.Cmd, uid int) {
	s.Helper()
	linkProgram(s, cmd)
	letIn(s, filepath.Dir(cmd.Path))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
}

// linkProgram gives a command a name of its program in a directory of its own.
func linkProgram(s *machine, cmd *exec.Cmd) {
	s.Helper()
	name := filepath.Join(s.TempDir(), "arcade")
	program, err := filepath.EvalSymlinks(cmd.Path)
	s.Require(err)
	s.Require(os.Chmod(program, 0o755))
	s.Require(os.Link(program, name))
	cmd.Path = name
}

// holdDatabase writes to the database and does not finish: a lock of SQLite's.
func holdDatabase(s *machine) {
	s.Helper()
	db, err := sql.Open("sqlite", "file:"+s.Path("usage.db"))
	s.Require(err)
	s.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec("BEGIN IMMEDIATE")
	s.Require(err)
}

// Which of root's files is in the way is said by whatever meets it, and not that another one is. A file that only says whose
// the events are keeps nothing from being recorded.
func TestEveryCommandNamesTheFileOfRootsThatIsInItsWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file, command string
		code          int
	}{
		{"credentials.lock", "login --with-key --host localhost --port {cloud}", 1},
		{"credentials.yaml", "org list", 1},
		{"credentials.yaml", "whoami", 1},
		{"credentials.yaml", "usage status", 0},
		{"usage.json", "usage status", 0},
		{"usage.db.flusher.lock", "usage flush", 1},
		{"usage.db.flusher.lock", "usage status", 1},
		{"", "logout", 1},
	} {
		t.Run(test.command+" and "+test.file, func(t *testing.T) {
			t.Parallel()
			s := newMachine(t)
			s.Env = append(s.Env, testbed.Flusher)
			s.WriteCredentials("arc_ada")
			s.Must("succeed")
			for _, lock := range []string{"credentials.lock", "usage.db.flusher.lock"} {
				s.Require(os.WriteFile(s.Path(lock), nil, 0o600))
			}
			openTo(s, nobody)
			s.Require(os.Lchown(s.Path(test.file), 0, 0))
			s.Cloud.Meet("ada")
			cmd := s.Command(strings.Fields(s.fill(test.command))...)
			cmd.Stdin, cmd.Env = strings.NewReader("arc_ada"), append(cmd.Env, "OUTBOX_FLUSHER=")
			becomes(s, cmd, nobody)
			r := s.Finish(cmd)
			said := strings.Join(strings.Fields(r.Stdout+r.Stderr), " ")
			want := filepath.Join("~/.arcade", test.file) + " belongs to root. " + s.fill("Run 'sudo chown -R nobody {home}/.arcade'.")
			if r.Code != test.code || !strings.Contains(said, want) {
				t.Errorf("it ends with %d and says %q, want %d and %q", r.Code, said, test.code, want)
			}
		})
	}
}
