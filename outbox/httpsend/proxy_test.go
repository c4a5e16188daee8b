package httpsend

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func TestAProxyThatAsksToWaitIsHeard(t *testing.T) {
	for status, want := range map[int]time.Duration{429: 7 * time.Second, 503: 7 * time.Second, 403: 0} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
		}))
		defer proxy.Close()
		transport := Transport(nil).(*http.Transport)
		address, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		transport.Proxy = http.ProxyURL(address)
		c := Client{URL: "https://server.invalid", Transport: transport}
		a, _ := c.Send(t.Context(), nil)
		if a.Outcome != outbox.Later || a.RetryAfter != want || (a.Code == outbox.CodeProxy) != (want == 0) {
			t.Errorf("CONNECT is answered with %d: %+v, want to wait for %s", status, a, want)
		}
	}
}
