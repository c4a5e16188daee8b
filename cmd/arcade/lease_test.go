package main

import (
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// testLease names the file that a flusher under test keeps locked as long as it lives. It is for
// systems without /proc, where machine.flushers finds nothing.
const testLease = "ARCADE_TEST_LEASE"

// newLease makes the file of a flusher that is about to be started, beside its home.
func newLease() (path string, err error) {
	home := os.Getenv(testMachine)
	if _, err := os.Stat("/proc/self/environ"); err == nil || home == "" {
		return "", nil
	}
	f, err := os.CreateTemp(filepath.Dir(home), "lease-*")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// holdLease is the flusher's part. The system takes the lock away when the process ends, in
// whatever way; the content says that there was one.
func holdLease(path string) *lockedfile.File {
	if path == "" {
		return nil
	}
	f, err := lockedfile.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteString("held")
	}
	if err != nil {
		panic(err)
	}
	return f
}

// leased counts the flushers that have not ended, among them those that have not begun. It waits
// for those that have.
func (m *machine) leased() (n int) {
	m.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(m.home), "lease-*"))
	if err != nil {
		m.Fatal(err)
	}
	for _, path := range paths {
		if content, err := lockedfile.Read(path); err != nil || len(content) == 0 {
			n++
		}
	}
	return n
}
