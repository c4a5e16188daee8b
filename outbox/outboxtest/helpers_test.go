package outboxtest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// patient is the timeout for what takes milliseconds on a machine with nothing else to do.
const patient = time.Minute

const (
	token = "phc_test"
	noon  = "2026-11-23T12:00:00.000Z"
	later = "2026-11-23T12:00:01.000Z"
	early = "2026-11-23T11:00:00.000Z"
)

// TestMain lets more tests run at once than there are processors: they wait for timeouts, and
// for posthog-go, which looks each 100 ms whether it may close.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err) // the flag is part of package testing
	}
	os.Exit(m.Run())
}

// id makes a uuid that a reader can tell from others by its number.
func id(n int) string { return fmt.Sprintf("0190a3c0-0000-7000-8000-%012d", n) }

// event is an event of a principal as posthog-go writes it.
func event(n int, who, at string) string {
	return fmt.Sprintf(`{"uuid":%q,"timestamp":%q,"distinct_id":%q,"event":"CLI execution succeeded","properties":{"command_name":"whoami"}}`, id(n), at, who)
}

// anonymous is an event of an anon id.
func anonymous(n int, who, at string) string {
	return strings.Replace(event(n, who, at), `{"command_name"`, `{"$process_person_profile":false,"command_name"`, 1)
}

// alias is an alias as posthog-go writes it: its ids are among the properties.
func alias(n int, anon, principal, at string) string {
	return fmt.Sprintf(`{"type":"alias","uuid":%q,"library":"posthog-go","timestamp":%q,"properties":{"distinct_id":%q,"alias":%q},"event":"$create_alias"}`, id(n), at, principal, anon)
}

func batch(messages ...string) string {
	return fmt.Sprintf(`{"api_key":%q,"batch":[%s]}`, token, strings.Join(messages, ","))
}

func gzipped(body string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.String()
}

// answer is what a client gets to see.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the request, or of reading the body
}

// client follows no redirect and keeps no connection, so that each request stands alone.
func client(timeout time.Duration) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send posts a body and returns whatever comes of it.
func send(s *outboxtest.Server, c *http.Client, body string) answer {
	response, err := c.Post(s.URL()+"/batch/", "application/json", strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(text), err: err}
}

// post sends a batch that has to be accepted.
func post(t testing.TB, s *outboxtest.Server, messages ...string) {
	t.Helper()
	if a := send(s, client(patient), batch(messages...)); a.status != http.StatusOK || a.err != nil {
		t.Fatalf("the batch was answered with %d %q, %v; this test needs it accepted", a.status, a.body, a.err)
	}
}

// soon is a context for what happens at once unless it is broken.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	t.Cleanup(cancel)
	return ctx
}

// wantViolations compares the violations with parts of the sentences that are expected.
func wantViolations(t testing.TB, s *outboxtest.Server, want ...string) {
	t.Helper()
	got := s.Violations()
	ok := slices.EqualFunc(got, want, strings.Contains)
	if !ok {
		t.Errorf("violations:\n  %s\nwant sentences with:\n  %s",
			strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// uuids lists the uuids of commits, to compare an order.
func uuids(commits []outboxtest.Commit) []string {
	var all []string
	for _, c := range commits {
		all = append(all, c.UUID)
	}
	return all
}

func wantUUIDs(t testing.TB, what string, commits []outboxtest.Commit, numbers ...int) {
	t.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, id(n))
	}
	if got := uuids(commits); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// serve posts a body without a network.
func serve(s *outboxtest.Server, body string) (status int) {
	w := &memoryWriter{header: http.Header{}}
	r, err := http.NewRequest(http.MethodPost, "http://fake/batch/", strings.NewReader(body))
	if err != nil {
		panic(err) // the arguments are constant
	}
	s.ServeHTTP(w, r)
	return w.status
}

// memoryWriter is a ResponseWriter that keeps only the status.
type memoryWriter struct {
	header http.Header
	status int
}

func (w *memoryWriter) Header() http.Header            { return w.header }
func (w *memoryWriter) WriteHeader(status int)         { w.status = status }
func (w *memoryWriter) Write(body []byte) (int, error) { return len(body), nil }

// trusting is a client that trusts the server's authority.
func trusting(t testing.TB, s *outboxtest.Server) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.CAPEM()) {
		t.Fatalf("the authority is no certificate: %q", s.CAPEM())
	}
	c := client(patient)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	return c
}
