package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// state is a home in which something stands still, and what status says about it.
type state struct {
	given  func(m *machine)
	reason string
	code   int
	says   string // see fill
}

func states() map[string]state {
	const moveAway = " Move it away, or set ARCADE_WORK_DIR to another directory."
	flushed := func(change func(m *machine)) func(m *machine) {
		return func(m *machine) {
			change(m)
			m.Run("succeed")
			m.Run("usage", "flush")
		}
	}
	recorded := func(change func(m *machine)) func(m *machine) {
		return func(m *machine) {
			m.Must("succeed")
			m.Must("usage", "flush")
			change(m)
		}
	}
	return map[string]state{
		"offline": {given: flushed((*machine).Offline), reason: "offline",
			says: "PostHog cannot be reached (connection refused). Nothing is lost. "},
		"behind a proxy that is gone": {given: flushed(func(m *machine) {
			m.Env = append(m.Env, "HTTP_PROXY=http://127.0.0.1:1", "ARCADE_USAGE_HOST=http://posthog.example")
		}), reason: "proxy",
			says: "the proxy lets nothing through to PostHog (the proxy cannot be reached). Check HTTPS_PROXY and NO_PROXY."},
		"an unknown authority": {given: flushed(func(m *machine) {
			m.Posthog.Close()
			m.Require(m.Posthog.ListenTLS("127.0.0.1:0"))
			m.PosthogAt = m.Posthog.URL()
		}), reason: "authority", says: "PostHog's certificate was signed by an unknown authority. If a proxy opens TLS,"},
		"a Cloud that says nothing": {given: func(m *machine) {
			m.Cloud.Hang(identitytest.ValidatePath)
			m.Must("succeed")
			flushed(func(m *machine) { m.WriteCredentials(sentinel) })(m)
		}, reason: "login_unknown", says: "Arcade Cloud has not said yet who you are. The next delivery asks again."},
		"dead messages": {given: recorded(func(m *machine) { m.refusing(func() { flushed(func(*machine) {})(m) }) }), reason: "dead",
			says: "1 message is dead: refused (rejected). 'arcade usage inspect --state dead' shows them, " +
				"'arcade usage retry' sends them once more."},
		"disabled": {given: func(m *machine) { m.Must("usage", "disable") }, reason: "disabled",
			says: "Tracking is off (arcade usage disable): nothing is recorded or sent. 'arcade usage enable' switches it on."},
		"a variable": {given: func(m *machine) { m.Env = append(m.Env, "DO_NOT_TRACK=1") }, reason: "variable",
			says: "Tracking is off (DO_NOT_TRACK): nothing is recorded or sent. Without DO_NOT_TRACK it is on"},
		"a full disk": {given: func(m *machine) {
			m.SmallDisk(0)
			m.Must("succeed")
			m.FillDisk(0)
		}, reason: "disk_full", code: 1,
			says: "Problem: The disk is full. Free some space: until then nothing is recorded. What waits is kept."},
		"a read-only disk": {given: func(m *machine) {
			m.SmallDisk(0)
			m.Must("succeed")
			m.SmallDisk(syscall.MS_REMOUNT | syscall.MS_RDONLY)
		}, reason: "read_only", code: 1,
			says: "Problem: The disk is read-only. Make it writable, or set ARCADE_WORK_DIR to a directory that is."},
		"a directory in the place of the flusher's lock": {given: recorded(func(m *machine) {
			m.Require(os.Remove(m.Path("usage.db.flusher.lock")))
			m.Require(os.Mkdir(m.Path("usage.db.flusher.lock"), 0o700))
		}), reason: "not_file", code: 1, says: "Problem: ~/.arcade/usage.db.flusher.lock is not a file." + moveAway},
		"a database without permission": {given: recorded(func(m *machine) {
			m.HandOver()
			m.Require(os.Chmod(m.Path("usage.db"), 0))
		}), reason: "permission", code: 1,
			says: "You may not use ~/.arcade/usage.db. Make it readable and writable for you, or set ARCADE_WORK_DIR to another directory."},
		"a link that leads nowhere in the place of the database": {given: recorded(func(m *machine) {
			m.Require(os.Remove(m.Path("usage.db")))
			m.Require(os.Symlink("nowhere/usage.db", m.Path("usage.db")))
		}), reason: "dangling_link", code: 1, says: "Problem: ~/.arcade/usage.db is a link that leads nowhere." + moveAway},
		"damage": {given: (*machine).damage, reason: "damaged_database", code: 1,
			says: "Problem: The usage database is damaged. The first command or delivery that meets the damage replaces it, " +
				"and keeps what can be read."},
		"three copies of damage": {given: func(m *machine) {
			for range 4 {
				m.damage()
				m.Must("succeed")
			}
		}, reason: "damaged_copies", code: 1,
			says: "three copies of earlier damage are kept, so nothing is recorded. 'arcade usage clear' erases them"},
		"a database with an unforeseen fault": {given: recorded(func(m *machine) { m.Change("DELETE FROM delivery") }),
			reason: "database", code: 1,
			says: "Problem: The usage database cannot be used (read schedule: sql: no rows in result set). Please report it at https://"},
		"a database that another process holds": {given: recorded(func(m *machine) { m.HoldDatabase() }), reason: "locked_database", code: 1,
			says: "Another process holds the usage database. Try again;"},
	}
}

// Status says what holds things up and what to do, in the words of every other command.
func TestStatusTellsEveryReason(t *testing.T) {
	t.Parallel()
	for name, test := range states() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := unflushed(t)
			test.given(m)
			r := m.Run("usage", "status")
			if want := m.fill(test.says); r.Code != test.code || r.Stderr != "" || !strings.Contains(inOneLine(r.Stdout), want) {
				t.Errorf("status ends with %d and says\n%s%s\nwant %d and %q", r.Code, r.Stdout, r.Stderr, test.code, want)
			}
			if test.reason == "disk_full" { // the last process to close the database frees its WAL
				m.FillDisk(0)
			}
			st := m.Status()
			if st.Reason == nil || *st.Reason != test.reason || st.Advice == nil || *st.Advice == "" {
				t.Errorf("as JSON the reason is %v, want %s and an advice", st.Reason, test.reason)
			}
		})
	}
}

// An update may take the program away from a command that is under way.
func TestStatusTellsOfAFlusherThatCouldNotBeStarted(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	updated := m.with(testbed.TestAsIs + "=1")
	updated.Install()
	cmd := updated.underWay(updated.Command("wait"))
	m.Require(os.Remove(updated.Program))
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	r := m.Run("usage", "status")
	reason := m.Status().Reason
	if r.Code != 0 || !strings.Contains(r.Stdout, "1 time no flusher could be started") || reason == nil || *reason != "no_process" {
		t.Errorf("status ends with %d and says\n%s\nwant 0, and that no flusher could be started", r.Code, r.Stdout)
	}
	m.Must("usage", "flush")
	if out := m.Must("usage", "status").Stdout; strings.Contains(out, "could be started") {
		t.Errorf("after a delivery status still says\n%s", out)
	}
}

// Off needs no room, and erasing does.
func TestDisableOnAFullDiskSaysThatRecordingIsOff(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.SmallDisk(0)
	m.offlineEvent()
	m.FillDisk(0)
	r := m.Run("usage", "disable")
	const left = "what waits could not be erased: the disk is full"
	if r.Code != 1 || r.Stdout != "Usage is no longer recorded.\n" || !strings.Contains(r.Stderr, left) {
		t.Errorf("%+v; want that it is off, and that what waits is still there", r)
	}
	if st := m.Status(); st.Tracking {
		t.Error("it says that recording is off, and it is on")
	}
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
		{"usage.db.lock", "usage status", 1},
		{"usage.db.flusher.lock", "usage flush", 1},
		{"", "logout", 1},
		{"", "usage disable", 1},
	} {
		t.Run(test.command+" and "+test.file, func(t *testing.T) {
			t.Parallel()
			m := unflushed(t)
			m.WriteCredentials("arc_ada")
			m.Must("succeed")
			m.writeFile("credentials.lock", "")
			m.writeFile("usage.db.flusher.lock", "")
			m.HandOver()
			m.Require(os.Chmod(m.Path(""), 0o755)) // root's can still be looked into
			m.Require(os.Lchown(m.Path(test.file), 0, 0))
			m.Meet("ada")
			cmd := m.Command(strings.Fields(m.fill(test.command))...)
			cmd.Stdin, cmd.Env = strings.NewReader("arc_ada"), append(cmd.Env, "OUTBOX_FLUSHER=")
			r := m.Finish(cmd)
			want := filepath.Join("~/.arcade", test.file) + " belongs to root. " + m.fill("Run 'sudo chown -R nobody {home}/.arcade'.")
			if said := inOneLine(r.Stdout + r.Stderr); r.Code != test.code || !strings.Contains(said, want) {
				t.Errorf("it ends with %d and says %q, want %d and %q", r.Code, said, test.code, want)
			}
		})
	}
}

// damage makes the database one that SQLite calls damaged.
func (m *machine) damage() {
	m.Helper()
	for _, side := range []string{"-wal", "-shm"} {
		os.Remove(m.Path("usage.db" + side))
	}
	m.writeFile("usage.db", strings.Repeat("no database ", 1000))
}
