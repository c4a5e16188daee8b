package httpsend

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// lame is a network that only connects by one family, when that is asked for alone.
func lame(connects string, usual error) dialer {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		switch {
		case network == connects:
			connection, _ := net.Pipe()
			return connection, nil
		case network != "tcp":
			return nil, errors.New("no such address")
		case usual != nil:
			return nil, usual
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestWhereTheResolverAnswersForOneFamilyAloneThatOneIsUsed(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		connects    string
		usual, want error
	}{
		"the usual way connects": {"tcp", nil, nil},
		"IPv4 alone connects":    {"tcp4", nil, nil},
		"IPv6 alone connects":    {"tcp6", nil, nil},
		"refused at once":        {"", refused, refused},
		"it never connects":      {"", nil, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 8*familyPatience)
			defer cancel()
			connection, err := lame(test.connects, test.usual).dialEither(ctx, "tcp", "host.invalid:443")
			if !errors.Is(err, test.want) || (connection == nil) != (err != nil) {
				t.Errorf("%s: %v, %v; want the error %v", name, connection, err, test.want)
			}
			if connection != nil {
				connection.Close()
			}
		})
	}
}
