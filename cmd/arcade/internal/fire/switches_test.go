//go:build linux

package fire

import (
	"strings"
	"testing"
)

func switchedOff() []string { return []string{"ARCADE_USAGE_TRACKING=0", "DO_NOT_TRACK=1"} }

func TestTortureOffTouchesNothingAndStartsNothing(t *testing.T) {
	t.Parallel()
	for _, off := range append(switchedOff(), "arcade usage disable") {
		t.Run(off, func(t *testing.T) {
			m, sign := newMachine(t), "no file at all"
			if strings.Contains(off, "=") {
				m = m.with(off)
			} else {
				m.Must("usage", "disable")
				sign = m.Path("usage.db.off")
			}
			calls := m.strace(succeeding...)
			for _, line := range calls.lines {
				if strings.Contains(line, m.Path("")) && !strings.Contains(line, sign) {
					t.Errorf("a command touches what it has no business with: %s", line)
				}
			}
			if n := calls.count("socket|connect|bind|fsync|fdatasync|mkdir|mkdirat|fork|vfork"); n != 0 {
				t.Errorf("it makes %d sockets, syncs, directories and processes, want none", n)
			}
			if n := calls.count("execve|execveat"); n != 1 {
				t.Errorf("it starts %d programs, want none", n-1)
			}
		})
	}
}

func TestTortureOffBetweenRecordingAndDelivery(t *testing.T) {
	t.Parallel()
	for _, off := range switchedOff() {
		t.Run(off, func(t *testing.T) {
			m := newMachine(t)
			m.unsent().Must("succeed")
			before := m.ReadFile("usage.db-wal")
			quiet := m.with(off)
			quiet.Must("succeed")
			quiet.flusher()
			if r := quiet.Must(flushing...); !strings.Contains(r.Stderr, "racking is off") {
				t.Errorf("flush says %+v, want the reason", r)
			}
			if n := len(m.Posthog.Requests()); n != 0 {
				t.Errorf("%d requests, want none while tracking is off", n)
			}
			if m.ReadFile("usage.db-wal") != before {
				t.Error("the outbox was written to")
			}
			m.arrives(1) // on again: what was recorded while it was on is delivered
			if n := len(m.Posthog.Events()); n != 1 {
				t.Errorf("PostHog has %d events, want the one of the command that ran with tracking on", n)
			}
		})
	}
}
