package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
)

// freePort returns a free port of this machine.
func freePort(tb testing.TB) int {
	tb.Helper()
	return onFreePort(tb, func(address string) error {
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
		}
		return err
	})
}

// lastPort begins somewhere, because packages are tested side by side.
var lastPort atomic.Int64

func init() { lastPort.Store(rand.Int64N(22_000)) }

// onFreePort tries one port after the other, each only once, until one can be used. Ports from
// 32768 on are left out: systems give them to programs that ask for any port, or connect, as tests beside this one
// do all the time.
func onFreePort(tb testing.TB, use func(address string) error) (port int) {
	tb.Helper()
	for range 100 {
		port := int(10_000 + lastPort.Add(1)%22_000)
		if use(fmt.Sprintf("127.0.0.1:%d", port)) == nil {
			return port
		}
	}
	tb.Fatal("no free port was found")
	return 0
}

// WriteProgram writes a file that can be started at once. No child is made meanwhile: it would
// hold the file open for writing until its own exec, and starting the program then fails
// with "text file busy".
func WriteProgram(path string, content []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return errors.Join(os.WriteFile(path, content, 0o755), os.Chmod(path, 0o755)) // whatever the umask is
}
