package httpsend

import (
	"context"
	"net"
	"time"
)

// familyPatience is how long a connection may take before each address family is tried alone. A resolver that drops
// questions for AAAA, or a lost packet, keeps Go's resolver waiting for five seconds at a time, also when it knows
// an address of the other family.
const familyPatience = time.Second

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

type dialed struct {
	network    string
	connection net.Conn
	err        error
}

// dialEither dials, and after a second each address family alone beside that. The first connection is used. When
// there is none, the error is that of the usual way.
func (dial dialer) dialEither(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed) // a late connection finds ctx ended
	try := func(network string) {
		connection, err := dial(ctx, network, address)
		select {
		case results <- dialed{network, connection, err}:
		case <-ctx.Done():
			if connection != nil {
				connection.Close()
			}
		}
	}
	go try(network)
	patience := time.NewTimer(familyPatience)
	defer patience.Stop()
	for {
		select {
		case r := <-results:
			if r.err == nil || r.network == network {
				return r.connection, r.err
			}
		case <-patience.C:
			go try("tcp4")
			go try("tcp6")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
