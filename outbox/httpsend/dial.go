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
	connection net.Conn
	err        error
}

// dialEither dials, and after a second each address family alone beside that. The first connection is used. When
// there is none, the error is that of the usual way.
func (dial dialer) dialEither(ctx context.Context, usual, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan dialed)
	try := func(network string) {
		connection, err := dial(ctx, network, address)
		if err != nil && network != usual {
			return
		}
		select {
		case results <- dialed{connection, err}:
		case <-ctx.Done():
			if connection != nil { // it came too late
				connection.Close()
			}
		}
	}
	go try(usual)
	for _, family := range []string{"tcp4", "tcp6"} {
		defer time.AfterFunc(familyPatience, func() { try(family) }).Stop()
	}
	select {
	case r := <-results:
		return r.connection, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
