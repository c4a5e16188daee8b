//go:build linux

package fire

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

const (
	page   = 4096 // of a tmpfs, and of SQLite
	demand = 48   // pages that a first command needs, and a bit
)

// onDisk is a machine whose home is a small disk, in bytes.
func onDisk(t *testing.T, size int) *machine {
	t.Helper()
	m := newMachine(t)
	testbed.MountTmpfs(t, m.Home, size, 0)
	return m
}

// fullDisks returns the numbers of free pages to try: all of them, or in the short form some.
func fullDisks(t *testing.T, all int) (free []int) {
	t.Helper()
	step := size(t, 6, 1)
	for n := newRand(seed(t), 4).IntN(step); n < all; n += step {
		free = append(free, n)
	}
	return free
}

func TestTortureAFullDiskOnAFirstRun(t *testing.T) {
	t.Parallel()
	for _, free := range fullDisks(t, demand) {
		t.Run(fmt.Sprintf("%d pages", free), func(t *testing.T) {
			m := onDisk(t, max(free, 1)*page).unsent() // a size of 0 would mean no limit
			if free == 0 {
				m.FillDisk(0)
			}
			m.unnoticed(succeeding, failing)
			testbed.MountTmpfs(t, m.Home, testbed.Roomy, syscall.MS_REMOUNT)
			before := 0
			if _, err := os.Stat(m.Path("usage.db")); err == nil {
				before = m.Inspect().Counts.Pending
			}
			m.unnoticed(succeeding)
			m.sound()
			m.arrives(before + 1)
		})
	}
}

func TestTortureAFullDiskLater(t *testing.T) {
	t.Parallel()
	for _, free := range fullDisks(t, demand/2) {
		t.Run(fmt.Sprintf("%d pages", free), func(t *testing.T) {
			m := onDisk(t, testbed.Roomy).unsent()
			m.Must("succeed")
			m.Must("succeed")
			anon := m.anonID()
			m.FillDisk(free)
			m.unnoticed(succeeding, failing)
			m.EmptyDisk()
			held := m.count(outbox.Pending)
			m.unnoticed(succeeding)
			m.sound()
			m.stays(anon)
			if after := m.count(outbox.Pending); held < 2 || after != held+1 {
				t.Errorf("2 pending before, %d while the disk was full, %d afterwards; want none lost and one more", held, after)
			}
			m.arrives(held + 1)
		})
	}
}

// A queue that has filled its disk makes room only by being delivered.
func TestTortureACommandThatAFullDiskDoesNotRecordDeliversWhatWaits(t *testing.T) {
	t.Parallel()
	m := onDisk(t, testbed.Roomy)
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

func TestTortureADiskThatIsFullBeforeTheSettlementShowsNothingTwice(t *testing.T) {
	t.Parallel()
	m := onDisk(t, testbed.Roomy)
	pause := m.Posthog.PauseNext()
	defer pause.Release()
	m.Must("succeed")
	m.awaitRequest(pause)
	m.FillDisk(0)
	pause.Release()
	m.AwaitNoFlusher()
	m.EmptyDisk()
	m.Must("succeed")
	m.AwaitNoFlusher()
	m.arrives(2) // what could not be settled is sent again and folded
}

func TestTortureAReadOnlyDiskCostsNoCommandAndCanBeLookedAt(t *testing.T) {
	t.Parallel()
	m := onDisk(t, testbed.Roomy).unsent()
	m.Must("succeed")
	m.Must("succeed")
	testbed.MountTmpfs(t, m.Home, testbed.Roomy, syscall.MS_REMOUNT|syscall.MS_RDONLY)
	m.unnoticed(succeeding, failing)
	found := m.Inspect()
	if found.Counts.Pending != 2 {
		t.Errorf("inspect shows %d events, want the two that were recorded before", found.Counts.Pending)
	}
	if r := m.Run("usage", "disable"); r.Code != 1 {
		t.Errorf("disable on a read-only disk: %+v; want to be told that it could not be done", r)
	}
	testbed.MountTmpfs(t, m.Home, testbed.Roomy, syscall.MS_REMOUNT)
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
