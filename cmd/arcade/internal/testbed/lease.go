package testbed

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
)

// testLease names the file that a flusher under test keeps locked as long as it lives.
const testLease = "ARCADE_TEST_LEASE"

// newLease makes the file of a flusher that is about to be started, beside its home.
func newLease(home string) (path string, err error) {
	f, err := os.CreateTemp(filepath.Dir(home), "lease-*")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// held keeps the lock's file from being closed by the garbage collector, which gives the lock up.
var held *flock.Flock

// holdLease is the flusher's part. The system takes the lock away when the process ends, in
// whatever way; the content says which process it is.
func holdLease(path string) {
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		held = flock.New(path)
		err = held.Lock()
	}
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()))
	}
	if err != nil {
		panic(err)
	}
}

// Flushers returns the process ids of this machine's flushers, 0 for one that has not begun.
func (m *Machine) Flushers() (pids []int) {
	m.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(m.Home), "lease-*"))
	if err != nil {
		m.Fatal(err)
	}
	for _, path := range paths {
		lease := flock.New(path, flock.SetFlag(os.O_RDWR))
		free, err := lease.TryLock()
		lease.Close()
		content, _ := os.ReadFile(path)
		pid, _ := strconv.Atoi(string(content))
		// One that has not said who it is has not begun yet, or never will: its command was killed
		// before it had handed the environment over, for which a child waits five seconds.
		info, gone := os.Stat(path)
		coming := pid == 0 && gone == nil && time.Since(info.ModTime()) < 10*time.Second
		if err == nil && (!free || coming) {
			pids = append(pids, pid)
		}
	}
	return pids
}
