package testbed

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// firstPort is anywhere, because packages are tested side by side.
var firstPort, portsTried = rand.Int64N(22_000), new(atomic.Int64)

// onFreePort tries one port after the other, each only once, until one can be used. Ports from
// 32768 on are left out: systems give them to programs that ask for any port, or connect, as tests beside this one
// do all the time.
func onFreePort(tb testing.TB, use func(address string) error) (port int) {
	tb.Helper()
	for range 100 {
		port = int(10_000 + (firstPort+portsTried.Add(1))%22_000)
		if use(fmt.Sprintf("127.0.0.1:%d", port)) == nil {
			return port
		}
	}
	tb.Fatal("no free port was found")
	return 0
}

// unused reports the error with which an address cannot be listened at.
func unused(address string) error {
	l, err := net.Listen("tcp", address)
	if err == nil {
		err = l.Close()
	}
	return err
}
