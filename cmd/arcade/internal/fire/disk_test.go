//go:build linux

package fire

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// onDisk is a machine whose home is a small disk.
func onDisk(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.SmallDisk(0)
	return m
}

func TestTortureAFullDisk(t *testing.T) {
	t.Parallel()
	step := size(t, 6, 1)
	first := newRand(seed(t), 4).IntN(step)
	for earlier, demand := range map[int]int{0: 48, 2: 24} { // pages that a command after so many needs, and a bit
		for free := first; free < demand; free += step {
			t.Run(fmt.Sprintf("%d pages after %d commands", free, earlier), func(t *testing.T) {
				m, anon := onDisk(t).unsent(), ""
				for range earlier {
					m.Must("succeed")
					anon = m.anonID()
				}
				empty := m.FillDisk(free)
				m.unnoticed(succeeding, failing)
				empty()
				held := m.Inspect().Counts.Pending
				m.unnoticed(succeeding)
				m.sound()
				if after := m.count(outbox.Pending); held < earlier || after != held+1 {
					t.Errorf("%d pending while the disk was full, %d afterwards; want none lost and one more", held, after)
				}
				if anon != "" {
					m.stays(anon)
				}
				m.arrives(held + 1)
			})
		}
	}
}

// A queue that has filled its disk makes room only by being delivered.
func TestTortureACommandThatAFullDiskDoesNotRecordDeliversWhatWaits(t *testing.T) {
	t.Parallel()
	m := onDisk(t)
	m.unsent().Must("succeed")
	m.unsent().Must("succeed")
	m.FillDisk(10)
	m.Must("succeed")
	m.AwaitEvents(2)
	m.AwaitNoFlusher()
	if waiting := m.count(outbox.Pending); waiting > 0 || len(m.Posthog.Events()) != 2 {
		t.Errorf("%d messages wait and PostHog has %d; want all delivered but what was not recorded", waiting, len(m.Posthog.Events()))
	}
}

func TestTortureAReadOnlyDiskCostsNoCommandAndCanBeLookedAt(t *testing.T) {
	t.Parallel()
	m := onDisk(t).unsent()
	m.Must("succeed")
	m.Must("succeed")
	m.SmallDisk(syscall.MS_REMOUNT | syscall.MS_RDONLY)
	m.unnoticed(succeeding, failing)
	found := m.Inspect()
	if found.Counts.Pending != 2 {
		t.Errorf("inspect shows %d events, want the two that were recorded before", found.Counts.Pending)
	}
	m.SmallDisk(syscall.MS_REMOUNT)
	m.unnoticed(succeeding)
	m.sound()
	m.stays(found.Identity.AnonID)
	m.arrives(3)
}

// A write beyond `ulimit -f` sends a signal to the process.
func TestTortureSignalsOfFailedWritesDoNotEndACommand(t *testing.T) {
	i := newInstallation(t)
	for _, limit := range []string{"0", "1", "8", "40"} { // in blocks of 512 bytes
		i.same(strings.Fields(limit), i.Finish(i.shell("ulimit -f "+limit+"; arcade succeed")),
			i.Finish(i.shell("ulimit -f "+limit+"; ARCADE_USAGE_TRACKING=0 arcade succeed")))
	}
}
