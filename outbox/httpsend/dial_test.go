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
	for _, family := range []string{"tcp", "tcp4", "tcp6"} {
		synctest.Test(t, func(t *testing.T) {
			connection, err := lame(family, nil).dialEither(t.Context(), "tcp", "host.invalid:443")
			if err != nil {
				t.Fatalf("%s: %v; want a connection", family, err)
			}
			connection.Close()
		})
	}
}

func TestAConnectionThatFailsAtOnceOrNeverComesHasTheUsualError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		if _, err := lame("", refused).dialEither(t.Context(), "tcp", "host.invalid:443"); err != refused {
			t.Errorf("got %v, want %v", err, refused)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*familyPatience)
		defer cancel()
		if _, err := lame("", nil).dialEither(ctx, "tcp", "host.invalid:443"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the time is up", err)
		}
	})
}
