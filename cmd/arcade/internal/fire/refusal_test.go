//go:build unix

package fire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// waitsFor checks that all n events wait and nothing of them is used up.
func (m *machine) waitsFor(n int) {
	m.Helper()
	if pending, dead := m.count(outbox.Pending), m.count(outbox.Dead); pending != n || dead != 0 || m.attempts() != 0 {
		m.Errorf("%d pending and %d dead after %d attempts; want all %d to wait as they were", pending, dead, m.attempts(), n)
	}
}

func TestTortureNobodyButPostHogRefuses(t *testing.T) {
	tests := map[string]struct {
		proven   bool // PostHog has accepted something at this address
		refuse   func(s *outboxtest.Server)
		requests int // at most, of both protocols
	}{
		"a page with 400": {false, func(s *outboxtest.Server) { s.SetFault(outboxtest.MustFault("page-400")) }, 2},
		"a page with 413": {false, func(s *outboxtest.Server) { s.SetFault(outboxtest.MustFault("page-413")) }, 2},
		"a page with 400 in the place of a server that was PostHog": {true,
			func(s *outboxtest.Server) { s.SetFault(outboxtest.MustFault("page-400")) }, 2},
		"a page with 413 in the place of a server that was PostHog": {true,
			func(s *outboxtest.Server) { s.SetFault(outboxtest.MustFault("page-413")) }, 2},
		"JSON with 400 from a server that has never accepted anything": {false,
			func(s *outboxtest.Server) {
				s.SetWithoutV1(true)
				s.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
			}, 8},
		"JSON with 413 from a server that has never accepted anything": {false,
			func(s *outboxtest.Server) {
				s.SetWithoutV1(true)
				s.SetResults(func(outboxtest.Message) string { return "drop:event_too_big" })
			}, 8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, before := offlineEvents(t, 60), 0
			if test.proven {
				m.Must("usage", "flush")
				m.recordInBulk(60, 0)
				before = 60
			}
			asked := len(m.Posthog.Requests())
			test.refuse(m.Posthog)
			m.flusher()
			if n := len(m.Posthog.Requests()) - asked; n > test.requests {
				t.Errorf("%d requests, want %d at most", n, test.requests)
			}
			m.waitsFor(60)
			m.Posthog.SetFaults()
			m.Posthog.SetResults(func(outboxtest.Message) string { return "" })
			m.later().flusher()
			m.arrived(before + 60)
		})
	}
}

// Who types an address wrong is told what a right one looks like, and nothing is tried.
func TestTortureAnAddressThatIsWrongInItselfIsNeverTried(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1:9", "us.i.posthog.com", "ftp://us.i.posthog.com", "http://", "http://localhost:99999",
		"http://us.i.posthog.com/ a", "http://us.i.posthog.com,http://eu.i.posthog.com", "http://$HOST", "http://http://us.i.posthog.com",
	} {
		t.Run(strings.NewReplacer("/", "_").Replace(address), func(t *testing.T) {
			t.Parallel()
			var tried atomic.Int32
			proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tried.Add(1) }))
			t.Cleanup(proxy.Close)
			m := offlineEvents(t, 2)
			wrong := m.with("ARCADE_USAGE_HOST="+address, "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL)
			wrong.Must("succeed")
			if n := len(wrong.Flushers()); n != 0 {
				t.Errorf("%d flushers were started for an address that nothing can be sent to", n)
			}
			wrong.flusher()
			const right = "to one like https://us.i.posthog.com"
			if r := wrong.Run("usage", "flush"); r.Code != 1 || !strings.Contains(r.Stderr, right) {
				t.Errorf("flush ends with %d and says %q, want it to say that %s", r.Code, r.Stderr, right)
			}
			if r := wrong.Run("usage", "status"); r.Code != 0 || !strings.Contains(r.Stdout, right) || !strings.Contains(r.Stdout, "not a valid address") {
				t.Errorf("status ends with %d and says %q, want it to say that %s and to show no address", r.Code, r.Stdout, right)
			}
			if n := tried.Load(); n != 0 {
				t.Errorf("%d requests, want none", n)
			}
			m.waitsFor(3)
			m.with("ARCADE_USAGE_HOST= " + m.PosthogAt + " ").flusher() // blanks around it are no fault
			m.arrived(3)
		})
	}
}
