package testbed

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"
)

// testLease names the file that a flusher under test keeps locked as long as it lives. Those it starts have one each.
const testLease = "ARCADE_LEASE_UNDER_TEST"

// newLease makes the file of a flusher that is about to be started, beside its home.
func newLease(home string) (path string, err error) {
	f, err := os.CreateTemp(filepath.Dir(home), "lease-*")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// holdLease is the flusher's part. The system takes the lock away when the process ends, in
// whatever way; the content says which process it is.
func holdLease(path string) (held *flock.Flock) {
	if path == "" {
		return nil
	}
	held = flock.New(path, flock.SetFlag(os.O_RDWR))
	err := held.Lock()
	if err == nil {
		err = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		panic(err)
	}
	return held
}
