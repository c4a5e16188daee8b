//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSwitchesAndWhichOneHasTheLastWord(t *testing.T) {
	for _, test := range []struct {
		tracking, doNotTrack string
		want                 switches
	}{
		{"", "", switches{on: true}},
		{"", "1", switches{by: "DO_NOT_TRACK"}},
		{"", "true", switches{by: "DO_NOT_TRACK"}},
		{"", " yes ", switches{by: "DO_NOT_TRACK"}},
		{"", "0", switches{on: true}},
		{"", "False", switches{on: true}},
		{"0", "", switches{by: "ARCADE_USAGE_TRACKING"}},
		{"OFF", "0", switches{by: "ARCADE_USAGE_TRACKING"}},
		{" no ", "", switches{by: "ARCADE_USAGE_TRACKING"}},
		{"1", "1", switches{on: true, forced: true, by: "ARCADE_USAGE_TRACKING"}},
		{"anything", "1", switches{on: true, forced: true, by: "ARCADE_USAGE_TRACKING"}},
		{" ", "1", switches{by: "DO_NOT_TRACK"}},
	} {
		a := newApp()
		a.env = func(name string) string {
			return map[string]string{"ARCADE_USAGE_TRACKING": test.tracking, "DO_NOT_TRACK": test.doNotTrack}[name]
		}
		if got := a.switches(); got != test.want {
			t.Errorf("ARCADE_USAGE_TRACKING=%q DO_NOT_TRACK=%q: %+v, want %+v", test.tracking, test.doNotTrack, got, test.want)
		}
	}
}

var switchedOff = []string{"ARCADE_USAGE_TRACKING=0", "DO_NOT_TRACK=1"}

func TestTortureOffBeforeTheFirstRun(t *testing.T) {
	for _, off := range switchedOff {
		t.Run(off, func(t *testing.T) {
			m := newMachine(t).with(off)
			for _, args := range [][]string{succeeding, {"--version"}, {"completion", "bash"}} {
				calls := m.strace(args...)
				if touched := calls.recording(); len(touched) > 0 {
					t.Errorf("arcade %v touches Arcade's directory: %s", args, touched[0])
				}
				if n := calls.count("socket|connect|bind|fsync|fdatasync|mkdir|mkdirat|fork|vfork"); n != 0 {
					t.Errorf("arcade %v makes %d sockets, syncs, directories and processes, want none", args, n)
				}
				if n := calls.count("execve|execveat"); n != 1 {
					t.Errorf("arcade %v starts %d programs, want none", args, n-1)
				}
			}
			m.run("fail", "x")
			m.cloud.meet("ada")
			m.login()
			m.must("logout")
			if entries, err := os.ReadDir(m.path("")); err != nil || len(entries) != 0 {
				t.Errorf("in Arcade's directory, which login has made, lie %v (%v), want nothing", entries, err)
			}
			if asked, requests := m.cloud.calls(), len(m.posthog.Requests()); asked+requests != 0 {
				t.Errorf("Cloud was asked %d times who this is, PostHog got %d requests, want neither", asked, requests)
			}
		})
	}
}

func TestTortureDisabledIsSeenWithoutTheDatabase(t *testing.T) {
	m := newMachine(t)
	m.must("usage", "disable")
	calls := m.strace("succeed")
	for _, line := range calls.lines {
		if strings.Contains(line, m.path("")) && !strings.Contains(line, m.path("usage.db.off")) {
			t.Errorf("a command touches what it has no business with: %s", line)
		}
	}
	if n := calls.count("socket|connect|fsync|fdatasync|fork|vfork"); n != 0 {
		t.Errorf("%d sockets, syncs and processes, want none", n)
	}
}

func TestTortureOffBetweenRecordingAndDelivery(t *testing.T) {
	for _, off := range switchedOff {
		t.Run(off, func(t *testing.T) {
			m := newMachine(t)
			m.unsent().must("succeed")
			before := m.readFile("usage.db-wal")
			quiet := m.with(off)
			quiet.must("succeed")
			quiet.must("usage", "flush", "--detached")
			if r := quiet.must("usage", "flush"); !strings.Contains(r.stderr, "racking is off") {
				t.Errorf("flush says %+v, want the reason", r)
			}
			if n := len(m.posthog.Requests()); n != 0 {
				t.Errorf("%d requests, want none while tracking is off", n)
			}
			if m.readFile("usage.db-wal") != before {
				t.Error("the outbox was written to")
			}
			m.must("usage", "flush") // on again: what was recorded while it was on is delivered
			if n := len(m.posthog.Events()); n != 1 {
				t.Errorf("PostHog has %d events, want the one of the command that ran with tracking on", n)
			}
		})
	}
}

// The flusher is stopped with its batch in hand, as by a laptop's lid.
func TestTortureOffBetweenClaimAndRequest(t *testing.T) {
	for _, point := range []string{"claimed", "before-request"} {
		for name, on := range map[string]bool{"off": false, "off, then on again": true} {
			t.Run(name+" at "+point, func(t *testing.T) {
				m := newMachine(t)
				m.unsent().must("succeed")
				flusher := m.startStopped(point, m.command("usage", "flush", "--detached"))
				disable := m.command("usage", "disable")
				if err := disable.Start(); err != nil { // it waits for the flusher
					t.Fatal(err)
				}
				m.eventually("tracking is off", func() bool { return m.query(`SELECT tracking FROM consent`) == "0" })
				m.eventually("the event is erased", func() bool { return len(m.kept()) == 0 })
				if on {
					m.must("usage", "enable")
				}
				flusher.resume()
				if err := disable.Wait(); err != nil {
					t.Errorf("disable: %v", err)
				}
				if n := len(m.posthog.Requests()); n != 0 {
					t.Errorf("%d requests, want none: what waited is never delivered", n)
				}
				if !on {
					return
				}
				m.must("succeed")
				if events := m.awaitEvents(1, 15*time.Second); len(events) != 1 {
					t.Errorf("PostHog has %d events, want the one after tracking was on again", len(events))
				}
			})
		}
	}
}

func TestTortureOffStaysOffWhateverHappensToTheDatabase(t *testing.T) {
	for _, name := range []string{"the database has 0 bytes", "the database is garbage", "the database is missing", "the WAL is missing"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.must("succeed")
			m.awaitEvents(1, 15*time.Second)
			m.awaitNoFlusher()
			m.must("usage", "disable")
			if err := damages()[name].do(m); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			m.must("succeed")
			m.run("usage", "flush")
			if st := m.status(); st.Tracking || st.DecidedBy != "arcade usage disable" {
				t.Errorf("tracking is %v by %s: it must not come back by itself", st.Tracking, st.DecidedBy)
			}
			m.awaitNoFlusher()
			if n := len(m.posthog.Commits()); n != 1 {
				t.Errorf("PostHog has %d messages, want only the one from before", n)
			}
			m.must("usage", "enable")
			m.must("succeed")
			m.awaitEvents(2, 15*time.Second)
		})
	}
}
