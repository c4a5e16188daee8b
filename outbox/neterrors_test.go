package outbox

import (
	"net"
	"net/http"
	"testing"
)

func TestNetworkErrorsHaveTheSameWordsOnEverySystem(t *testing.T) {
	tests := map[string]struct {
		accept func(net.Conn) // nil: nobody listens
		want   string
	}{
		"nobody listens":    {nil, "connection refused"},
		"the peer resets":   {reset, "connection reset"},
		"the peer hangs up": {func(c net.Conn) { readRequest(c); c.Close() }, "connection closed early"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			if test.accept == nil {
				listener.Close()
			} else {
				go func() {
					if c, err := listener.Accept(); err == nil {
						test.accept(c)
					}
				}()
			}
			_, err = new(http.Transport).RoundTrip(newRequest(t, "http://"+listener.Addr().String()))
			if got := describe(err); got != test.want {
				t.Errorf("%v is called %q, want %q: a user looks that up in the README", err, got, test.want)
			}
		})
	}
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readRequest takes in what a client sends, so that closing is an orderly end.
func readRequest(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }

func reset(c net.Conn) {
	readRequest(c)
	_ = c.(*net.TCPConn).SetLinger(0) // Close sends RST
	c.Close()
}
