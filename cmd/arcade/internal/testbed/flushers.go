package testbed

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/ArcadeAI/arcade-cli/outbox"
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
	held = flock.New(path, flock.SetFlag(os.O_RDWR))
	err := held.Lock()
	if err == nil {
		err = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		panic(err)
	}
}

// Flushers returns the process ids of this machine's flushers, 0 for one that has not begun.
func (m *Machine) Flushers() (pids []int) {
	m.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(m.Home), "lease-*"))
	m.Require(err)
	for _, path := range paths {
		// First the process id, then whether it lives: a flusher that writes its id in between counts as one that has
		// not begun, and not as one that has ended.
		content, _ := os.ReadFile(path)
		pid, _ := strconv.Atoi(string(content))
		lease := flock.New(path, flock.SetFlag(os.O_RDWR))
		free, err := lease.TryLock()
		lease.Close()
		// A flusher without an id has not begun yet, or never will: its command was killed before it had handed
		// the environment over, for which a child waits five seconds.
		info, gone := os.Stat(path)
		coming := pid == 0 && gone == nil && time.Since(info.ModTime()) < 10*time.Second
		if err == nil && (!free || coming) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// AwaitNoFlusher waits for the end of the flusher that a command may have left behind, also of
// one that has not come to its lock yet.
func (m *Machine) AwaitNoFlusher() {
	m.Helper()
	box, err := outbox.New(outbox.Config{Path: m.Path("usage.db")})
	m.Require(err)
	m.Eventually("the flusher is gone", func() bool { return len(m.Flushers()) == 0 && !box.Flushing() })
}

// endFlushers tells what still lingers to leave, as a machine that shuts down does, and waits for that.
func (m *Machine) endFlushers() {
	m.Helper()
	m.Eventually("the flushers have left", func() bool {
		pids := m.Flushers()
		for _, pid := range pids {
			if pid > 0 {
				terminate(pid)
			}
		}
		return len(pids) == 0
	})
}

// Deliverer prepares the process of a flusher, as a command starts it, in the foreground.
func (m *Machine) Deliverer() *exec.Cmd {
	m.Helper()
	cmd := m.Command()
	lease, err := newLease(m.Home)
	m.Require(err)
	lock, err := os.OpenFile(m.Path("usage.db.flusher.lock"), os.O_WRONLY|os.O_CREATE, 0o600) // a flusher only finds it
	if err != nil && !errors.Is(err, fs.ErrNotExist) {                                        // there may be no home
		m.Fatal(err)
	}
	lock.Close()
	environment := append(cmd.Env, childTestEnvironment(cmd.Env, lease)...)
	cmd.Stdin = strings.NewReader(strings.Join(environment, "\x00") + "\x00\x00") // as package detach writes it
	cmd.Env = []string{Flusher, "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}
	return cmd
}
