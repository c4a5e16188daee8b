package httpsend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

func TestWhereTheResolverAnswersForOneFamilyAloneThatOneIsUsed(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		connects    string // the only way that connects, when it is asked for alone
		usual, want error
	}{
		"the usual way connects": {"tcp", nil, nil},
		"IPv4 alone connects":    {"tcp4", nil, nil},
		"IPv6 alone connects":    {"tcp6", nil, nil},
		"refused at once":        {"", refused, refused},
		"it never connects":      {"", nil, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			late, peer := net.Pipe()
			dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
				switch {
				case network == test.connects:
					connection, _ := net.Pipe()
					return connection, nil
				case network != "tcp":
					return nil, errors.New("no such address")
				case test.usual != nil:
					return nil, test.usual
				}
				<-ctx.Done()
				if test.connects == "" {
					return nil, ctx.Err()
				}
				return late, nil // the other family was faster
			}
			standard := http.DefaultTransport
			http.DefaultTransport = &http.Transport{DialContext: dial}
			either := Transport(nil).(*http.Transport).DialContext
			http.DefaultTransport = standard
			ctx, cancel := context.WithTimeout(t.Context(), 8*familyPatience)
			defer cancel()
			connection, err := either(ctx, "tcp", "host.invalid:443")
			if !errors.Is(err, test.want) || (connection == nil) != (err != nil) || connection == late {
				t.Errorf("%s: %v, %v; want the error %v", name, connection, err, test.want)
			}
			if connection != nil {
				connection.Close()
			}
			if test.connects == "tcp4" {
				if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("the connection that comes too late is not closed: %v", err)
				}
			}
		})
	}
}
