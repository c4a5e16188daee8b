//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// unnoticed runs commands with tracking on, then off, and wants no difference but the notice.
func (m *machine) unnoticed(commands ...[]string) {
	m.Helper()
	for _, args := range commands {
		m.same(args, m.run(args...), m.with("ARCADE_USAGE_TRACKING=0").run(args...))
	}
}

func (m *machine) same(args []string, on, off result) {
	m.Helper()
	on.stderr = strings.TrimSuffix(on.stderr, notice)
	if on.stdout != off.stdout || on.stderr != off.stderr || on.code != off.code {
		m.Errorf("arcade %v with tracking: %+v\nwithout: %+v\nwant the same: a broken disk costs events, not commands", args, on, off)
	}
}

// unsent returns the machine without a key for PostHog: its commands record, and leave no flusher
// behind that the test would have to wait for.
func (m *machine) unsent() *machine { return m.with("ARCADE_USAGE_KEY=") }

var (
	succeeding = []string{"succeed"}
	failing    = []string{"fail", "x"}
)

// soundAs is sound, and checks that this machine is who it was before.
func (m *machine) soundAs(anonID string) {
	m.Helper()
	m.sound()
	if got := m.query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`); got != anonID {
		m.Errorf("the anon id was %s and is %s: this machine has become somebody else", anonID, got)
	}
}

// arrives delivers everything.
func (m *machine) arrives(atLeast int) {
	m.Helper()
	m.with("ARCADE_USAGE_KEY=phc_test").must("usage", "flush")
	if n := len(m.posthog.Events()); n < atLeast {
		m.Errorf("PostHog has %d events, want %d at least", n, atLeast)
	}
	m.noViolations()
}

func TestTortureAClockThatIsAYearOffLosesAndReordersNothing(t *testing.T) {
	const year = 365 * 24 * time.Hour
	m := newMachine(t)
	m.offline()
	clocks := []time.Duration{0, year, year, 0, -year, -year, 0, year}
	for i, off := range clocks {
		then := m.unsent().with(fmt.Sprintf("%s=%s", testClock, off))
		then.unnoticed([][]string{succeeding, failing}[i%2])
		then.with("ARCADE_USAGE_KEY=phc_test").run("usage", "flush") // its housekeeping must not take the clock's word
	}
	recorded := m.inspect()
	if recorded.Counts.Pending != len(clocks) || recorded.Counts.Dropped != 0 {
		t.Fatalf("%+v after %d commands, want all of them pending", recorded.Counts, len(clocks))
	}
	m.online()
	m.must("succeed") // no back-off of another year holds it up
	events := m.awaitEvents(len(clocks)+1, 15*time.Second)
	for i, want := range recorded.Messages {
		if events[i].UUID != want.UUID || rfc3339(events[i].Timestamp) != want.RecordedAt {
			t.Errorf("event %d is %s of %s, want %s of %s", i, events[i].UUID, rfc3339(events[i].Timestamp), want.UUID, want.RecordedAt)
		}
	}
	m.noViolations()
}

// mountTmpfs puts a small disk at path until the test ends. Resized by calling it again.
func mountTmpfs(t *testing.T, path string, size int, flags uintptr) {
	t.Helper()
	err := syscall.Mount("tmpfs", path, "tmpfs", flags, fmt.Sprintf("size=%d,mode=0700", size))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENODEV) {
		t.Skip("a small disk cannot be made here: mounting a tmpfs needs root: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if flags&syscall.MS_REMOUNT == 0 {
		t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	}
}

// diskMachine is a machine whose home is a small disk, in bytes.
func diskMachine(t *testing.T, size int) *machine {
	t.Helper()
	m := newMachine(t).unsent()
	mountTmpfs(t, m.home, size, 0)
	return m
}

const (
	page   = 4096    // of a tmpfs, and of SQLite
	roomy  = 8 << 20 // bytes: as good as endless
	demand = 48      // pages that a first command needs, and a bit
)

// fullDisks returns the numbers of free pages to try: all of them, or in the short form some.
func fullDisks(t *testing.T, all int) (free []int) {
	t.Helper()
	_, long := rounds(t, 0)
	step := 1
	if !long {
		step = 6
	}
	for n := newRand(seed(t), 4).IntN(step); n < all; n += step {
		free = append(free, n)
	}
	return free
}

func TestTortureAFullDiskOnAFirstRun(t *testing.T) {
	for _, free := range fullDisks(t, demand) {
		t.Run(fmt.Sprintf("%d pages", free), func(t *testing.T) {
			m := diskMachine(t, max(free, 1)*page) // a size of 0 would mean no limit
			if free == 0 {
				m.fillUp(0)
			}
			m.unnoticed(succeeding, failing)
			mountTmpfs(t, m.home, roomy, syscall.MS_REMOUNT)
			before := 0
			if _, err := os.Stat(m.path("usage.db")); err == nil {
				before = m.inspect().Counts.Pending
			}
			m.unnoticed(succeeding)
			m.soundAs(m.inspect().Identity.AnonID)
			m.arrives(before + 1)
		})
	}
}

func TestTortureAFullDiskLater(t *testing.T) {
	for _, free := range fullDisks(t, demand/2) {
		t.Run(fmt.Sprintf("%d pages", free), func(t *testing.T) {
			m := diskMachine(t, roomy)
			m.must("succeed")
			m.must("succeed")
			before := m.inspect()
			m.fillUp(free)
			m.unnoticed(succeeding, failing)
			if err := os.Remove(filepath.Join(m.home, "filler")); err != nil {
				t.Fatal(err)
			}
			held := m.inspect()
			m.unnoticed(succeeding)
			m.soundAs(before.Identity.AnonID)
			if held.Counts.Pending < before.Counts.Pending || m.pending() != held.Counts.Pending+1 {
				t.Errorf("%d pending before, %d while the disk was full, %d afterwards; want none lost and one more",
					before.Counts.Pending, held.Counts.Pending, m.pending())
			}
			m.arrives(held.Counts.Pending + 1)
		})
	}
}

// fillUp leaves so many free pages on the disk.
func (m *machine) fillUp(free int) {
	m.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(m.home, &disk); err != nil {
		m.Fatal(err)
	}
	filler := make([]byte, max(int64(disk.Bavail)-int64(free), 0)*disk.Bsize)
	if err := os.WriteFile(filepath.Join(m.home, "filler"), filler, 0o600); err != nil {
		m.Fatal(err)
	}
}

func TestTortureADiskThatIsFullBeforeTheSettlementDoublesNothing(t *testing.T) {
	m := newMachine(t)
	mountTmpfs(t, m.home, roomy, 0)
	pause := m.posthog.PauseNext(outboxtest.BeforeAnswer)
	defer pause.Release()
	m.must("succeed")
	select {
	case <-pause.Reached():
	case <-time.After(15 * time.Second):
		t.Fatal("no flusher has come to PostHog")
	}
	m.fillUp(0)
	pause.Release()
	m.awaitNoFlusher()
	if err := os.Remove(filepath.Join(m.home, "filler")); err != nil {
		t.Fatal(err)
	}
	if n := m.pending(); n != 1 {
		t.Errorf("%d pending, want 1: there was no room for the settlement", n)
	}
	m.must("succeed")
	m.awaitNoFlusher()
	m.must("usage", "flush")
	if commits, events := len(m.posthog.Commits()), len(m.posthog.Events()); commits != 3 || events != 2 {
		t.Errorf("PostHog got %d messages and shows %d events, want the first one twice, folded, and the second", commits, events)
	}
	m.noViolations() // such as other bytes the second time
}
