//go:build linux

package fire

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// unnoticed runs commands with tracking on, then off, and wants no difference but the notice.
func (m *machine) unnoticed(commands ...[]string) {
	m.Helper()
	for _, args := range commands {
		m.same(args, m.Run(args...), m.with("ARCADE_USAGE_TRACKING=0").Run(args...))
	}
}

func (m *machine) same(args []string, on, off testbed.Result) {
	m.Helper()
	on.Stderr = strings.TrimSuffix(on.Stderr, m.Notice())
	if on.Stdout != off.Stdout || on.Stderr != off.Stderr || on.Code != off.Code {
		m.Errorf("arcade %v with tracking: %+v\nwithout: %+v\nwant the same: a broken disk costs events, not commands", args, on, off)
	}
}

// soundAs is sound, and checks that this machine is who it was before.
func (m *machine) soundAs(anonID string) {
	m.Helper()
	m.sound()
	m.stays(anonID)
}

// stays checks that this machine is who it was before. Damage that no statement has met may still
// be in its database.
func (m *machine) stays(anonID string) {
	m.Helper()
	m.mirrorAgrees()
	if got := m.Query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`); got != anonID {
		m.Errorf("the anon id was %s and is %s: this machine has become somebody else", anonID, got)
	}
}

// arrives delivers everything.
func (m *machine) arrives(atLeast int) {
	m.Helper()
	m.with("ARCADE_USAGE_KEY=phc_test").Must(flushing...)
	if n := len(m.Posthog.Events()); n < atLeast {
		m.Errorf("PostHog has %d events, want %d at least", n, atLeast)
	}
	m.NoViolations()
}

// diskMachine is a machine whose home is a small disk, in bytes.
func diskMachine(t *testing.T, size int) *machine {
	t.Helper()
	m := newMachine(t).unsent()
	testbed.MountTmpfs(t, m.Home, size, 0)
	return m
}

const (
	page   = 4096 // of a tmpfs, and of SQLite
	demand = 48   // pages that a first command needs, and a bit
)

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
			m := diskMachine(t, max(free, 1)*page) // a size of 0 would mean no limit
			if free == 0 {
				m.fillUp(0)
			}
			m.unnoticed(succeeding, failing)
			testbed.MountTmpfs(t, m.Home, testbed.Roomy, syscall.MS_REMOUNT)
			before := 0
			if _, err := os.Stat(m.Path("usage.db")); err == nil {
				before = m.Inspect().Counts.Pending
			}
			m.unnoticed(succeeding)
			m.soundAs(m.Inspect().Identity.AnonID)
			m.arrives(before + 1)
		})
	}
}

func TestTortureAFullDiskLater(t *testing.T) {
	t.Parallel()
	for _, free := range fullDisks(t, demand/2) {
		t.Run(fmt.Sprintf("%d pages", free), func(t *testing.T) {
			m := diskMachine(t, testbed.Roomy)
			m.Must("succeed")
			m.Must("succeed")
			before := m.Inspect()
			m.fillUp(free)
			m.unnoticed(succeeding, failing)
			m.emptyOut()
			held := m.Inspect()
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
	if err := syscall.Statfs(m.Home, &disk); err != nil {
		m.Fatal(err)
	}
	filler := make([]byte, max(int64(disk.Bavail)-int64(free), 0)*disk.Bsize)
	if err := os.WriteFile(filepath.Join(m.Home, "filler"), filler, 0o600); err != nil {
		m.Fatal(err)
	}
}

// emptyOut takes back what fillUp did.
func (m *machine) emptyOut() {
	m.Helper()
	if err := os.Remove(filepath.Join(m.Home, "filler")); err != nil {
		m.Fatal(err)
	}
}

func TestTortureADiskThatIsFullBeforeTheSettlementShowsNothingTwice(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	testbed.MountTmpfs(t, m.Home, testbed.Roomy, 0)
	pause := m.Posthog.PauseNext(outboxtest.BeforeAnswer)
	defer pause.Release()
	m.Must("succeed")
	m.awaitRequest(pause)
	m.fillUp(0)
	pause.Release()
	m.AwaitNoFlusher()
	m.emptyOut()
	m.Must("succeed")
	m.AwaitNoFlusher()
	m.Must(flushing...)
	if events, waiting := len(m.Posthog.Events()), m.pending(); events != 2 || waiting != 0 {
		t.Errorf("PostHog shows %d events and %d wait, want two: what could not be settled is sent again and folded", events, waiting)
	}
	m.NoViolations()
}
