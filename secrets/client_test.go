package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/secrets"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

const (
	token = "arc_sentinel-token~"
	value = "sentinel-value-that-stays-hidden"
)

// newClient starts an Engine and a client for it, for which waiting takes no time.
func newClient(t *testing.T) (*secretstest.Engine, *secrets.Client) {
	t.Helper()
	engine := secretstest.Start(token)
	t.Cleanup(engine.Close)
	return engine, clientFor(t, engine.URL)
}

func clientFor(t *testing.T, address string) *secrets.Client {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &secrets.Client{HTTP: &http.Client{Transport: transport}, Base: base, Token: token, Sleep: func(context.Context, time.Duration) {}}
}

// faulty is newClient with a fault, and a client that does not wait long for an answer that never comes.
func faulty(t *testing.T, f fault) (*secretstest.Engine, *secrets.Client) {
	t.Helper()
	engine, c := newClient(t)
	engine.Inject(f)
	if f.Mode == secretstest.Hang { // counts when the request is written, however long a busy machine takes to get there
		c.HTTP.Transport.(*http.Transport).ResponseHeaderTimeout = 100 * time.Millisecond
	}
	return engine, c
}

// roundTrip is an http.RoundTripper that a test writes in place.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// setOne sets KEY and returns what became of it.
func setOne(t *testing.T, c *secrets.Client) error {
	t.Helper()
	results := slices.Collect(c.Set(t.Context(), pairsOf("KEY", value)))
	if len(results) != 1 || results[0].Key != "KEY" {
		t.Fatalf("Set yielded %v, want one result for KEY", results)
	}
	return results[0].Err
}

// wantStatus expects a *StatusError with this status, and for 0 no error.
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	var refused *secrets.StatusError
	if errors.As(err, &refused) != (status != 0) || refused != nil && refused.Status != status || status == 0 && err != nil {
		t.Errorf("the error is %v, want status %d (0 for none)", err, status)
	}
}

func TestBothGenerationsAreAskedAtTheirAddresses(t *testing.T) {
	tests := []struct{ name, organisation, project, path string }{
		{"a plain key asks the admin address", "", "", "/v1/admin/secrets"},
		{"credentials with a context ask their project", "org-1", "proj-2", "/v1/orgs/org-1/projects/proj-2/secrets"},
		{"ids are escaped", "o/1", "..", "/v1/orgs/o%2F1/projects/%2E%2E/secrets"},
		{"half a context is none", "org-1", "", "/v1/admin/secrets"},
	}
	for _, tt := range tests {
		engine, c := newClient(t)
		c.Organisation, c.Project = tt.organisation, tt.project
		setErr := setOne(t, c)
		list, listErr := c.List(t.Context())
		if setErr != nil || listErr != nil || len(list) != 1 || list[0].Key != "KEY" {
			t.Fatalf("%s: Set gave %v, List %v and %v, want the secret that was set", tt.name, setErr, list, listErr)
		}
		if r := unset(t, c, secrets.UnsetOptions{}, "KEY"); r[0].Err != nil {
			t.Errorf("%s: Unset failed: %v", tt.name, r[0].Err)
		}
		var got []string
		for _, r := range engine.Requests() {
			got = append(got, r.Method+" "+r.Path)
			if r.Authorization != "Bearer "+token {
				t.Errorf("%s: %s carried Authorization %q", tt.name, r.Method, r.Authorization)
			}
		}
		want := []string{"PUT " + tt.path + "/KEY", "GET " + tt.path, "GET " + tt.path, "DELETE " + tt.path + "/" + list[0].ID}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the Engine was asked %q, want %q", tt.name, got, want)
		}
	}
}

func TestAnyKeyAndValueArriveUnchanged(t *testing.T) {
	keys := []struct{ key, path string }{
		{"API_KEY", "API_KEY"}, {"a/b", "a%2Fb"}, {".", "%2E"}, {"..", "%2E%2E"}, {"...", "..."}, {"../../x", "..%2F..%2Fx"},
		{"100%", "100%25"}, {"%2F", "%252F"}, {"a?b#c", "a%3Fb%23c"}, {"a;b,c", "a%3Bb%2Cc"}, {"schlüssel", "schl%C3%BCssel"},
		{"鍵", "%E9%8D%B5"}, {"a+b&c", "a+b&c"}, {`a\b"c`, "a%5Cb%22c"}, {"a:b", "a:b"},
	}
	values := []string{value, "<>&'\"\\", "a\nb\r\n\t", "\u2028漢🔑\x00\x7f", " blanks ", strings.Repeat("x", 1<<20)}
	engine, c := newClient(t)
	for i, k := range keys {
		want := values[i%len(values)]
		if _, failed, _ := fates(c.Set(t.Context(), pairsOf(k.key, want))); failed != nil {
			t.Fatalf("Set(%q) failed", k.key)
		}
		requests := engine.Requests()
		if got := requests[len(requests)-1].Path; got != "/v1/admin/secrets/"+k.path {
			t.Errorf("the key %q was sent as %s, want .../%s", k.key, got, k.path)
		}
		items := engine.Items()
		if got := items[len(items)-1]; got.Key != k.key || got.Value != want || got.Description != "Secret set via CLI" {
			t.Errorf("the Engine keeps %.80q, want the key %q and the value %.80q", got, k.key, want)
		}
	}
}

func TestASecondAttemptIsMadeWhereItMayHelp(t *testing.T) {
	inTheClear, selfSigned := secretstest.Start(token), secretstest.StartTLS(token)
	t.Cleanup(inTheClear.Close)
	t.Cleanup(selfSigned.Close)
	const success, unreachable, nothingListens = "<nil>", "cannot reach the Engine at ", "127.0.0.1:1"
	tests := []struct {
		name     string
		fault    fault
		address  string // "" for that of an Engine with the fault
		attempts int
		want     string
	}{
		{"after one 502", fault{Mode: secretstest.Status, Status: 502, Times: 1}, "", 2, success},
		{"after one 504", fault{Mode: secretstest.Status, Status: 504, Times: 1}, "", 2, success},
		{"after one reset", fault{Mode: secretstest.Reset, Times: 1}, "", 2, success},
		{"after an answer that is shorter than announced", fault{Mode: secretstest.ShortBody, Times: 1}, "", 2, success},
		{"after an answer that is not HTTP", fault{Mode: secretstest.NotHTTP, Times: 1}, "", 2, success},
		{"after a redirect that leads nowhere", fault{Mode: secretstest.Status, Status: 307, Location: "http://[", Times: 1}, "", 2, success},
		{"but not a third one", fault{Mode: secretstest.Status, Status: 502}, "", 2, "(HTTP 502)"},
		{"but not a third one after resets", fault{Mode: secretstest.Reset}, "", 2, unreachable},
		{"but not after 500", fault{Mode: secretstest.Status, Status: 500}, "", 1, "(HTTP 500)"},
		{"but not after 400", fault{Mode: secretstest.Status, Status: 400}, "", 1, "(HTTP 400)"},
		{"but not when no answer comes", fault{Mode: secretstest.Hang}, "", 1, unreachable},
		{"but not where nothing listens", fault{}, "http://" + nothingListens, 1, unreachable},
		{"but not when the proxy is down", fault{}, "https://engine.invalid", 1, unreachable},
		{"but not when the certificate is not trusted", fault{}, selfSigned.URL, 1, unreachable},
		{"but not when TLS is spoken to plain HTTP", fault{}, strings.Replace(inTheClear.URL, "http:", "https:", 1), 1, unreachable},
	}
	proxy := &url.URL{Scheme: "http", Host: nothingListens, User: url.UserPassword("me", "sentinel-proxy")}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine, c := faulty(t, tt.fault)
			if tt.address != "" {
				c = clientFor(t, tt.address)
			}
			if c.Base.Host == "engine.invalid" {
				c.HTTP.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy)
			}
			c.Base.User = url.UserPassword("me", "sentinel-password")
			attempts, slept := 0, time.Duration(0)
			c.Sleep = func(_ context.Context, d time.Duration) { slept += d }
			before(c, func(string, *http.Request) { attempts++ })
			err := setOne(t, c)
			if tt.want == unreachable {
				tt.want += c.Base.Host
			}
			if attempts != tt.attempts || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("%d attempts were made, and Set gave %v, want %d and %q", attempts, err, tt.attempts, tt.want)
			}
			if want := time.Duration(tt.attempts-1) * 500 * time.Millisecond; slept != want {
				t.Errorf("between the attempts it waited for %v, want %v: what broke needs a moment", slept, want)
			}
			if shown := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(shown, "sentinel") {
				t.Errorf("the error shows what is private: %s", shown)
			}
			if items := engine.Items(); err == nil && (len(items) != 1 || items[0].Value != value) {
				t.Errorf("the Engine keeps %v, want the secret once", items)
			}
		})
	}
}

func TestARequestAsksForJSONAndEndsInTime(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: 30 * time.Second, time.Hour: time.Hour} {
		_, c := newClient(t)
		c.HTTP.Timeout = timeout
		start := time.Now()
		before(c, func(_ string, r *http.Request) {
			deadline, _ := r.Context().Deadline()
			if least, most := start.Add(want), time.Now().Add(want); deadline.Before(least) || deadline.After(most) {
				t.Errorf("the request ends at %v, want %v after it was begun, from %v to %v", deadline, want, least, most)
			}
			if got := r.Header.Get("Accept"); got != "application/json" {
				t.Errorf("it asks for %q, want JSON", got)
			}
		})
		wantStatus(t, setOne(t, c), 0)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := secretstest.Start(token)
	t.Cleanup(elsewhere.Close)
	for status, location := range map[int]string{300: "", 307: elsewhere.URL + "/v1/admin/secrets", 308: "/v1/admin/secrets"} {
		engine, c := faulty(t, fault{Mode: secretstest.Status, Status: status, Location: location})
		wantStatus(t, setOne(t, c), status)
		_, err := c.List(t.Context())
		wantStatus(t, err, status)
		if led, sent := len(elsewhere.Requests()), len(engine.Requests()); led != 0 || sent != 2 {
			t.Errorf("%d requests went to the redirect's target, with the token, and %d were made, want one for each call", led, sent)
		}
	}
}

func TestOnlyAnEnginesAnswerIsBelieved(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"200 with an object", 200, `{"key": "KEY"}`, nil},
		{"201 with an object", 201, `{"id": "1"}`, nil},
		{"200 with nothing", 200, "", nil},
		{"200 with white space", 200, " \n", nil},
		{"204", 204, "", nil},
		{"an object without an error in it", 200, `{"error": null}`, nil},
		{"a page", 200, "<html>sentinel</html>", secrets.ErrNotEngine},
		{"a page that is not called one", 200, "\n<sentinel>", secrets.ErrNotEngine},
		{"text", 200, "sentinel", secrets.ErrNotEngine},
		{"broken JSON", 200, "{sentinel", secrets.ErrNotEngine},
		{"null", 200, "null", secrets.ErrNotEngine},
		{"a list", 200, "[]", secrets.ErrNotEngine},
		{"202", 202, "{}", secrets.ErrNotEngine},
		{"299", 299, "", secrets.ErrNotEngine},
		{"an error in an answer of 200", 200, `{"error": "sentinel"}`, secrets.ErrReported},
		{"an error of another kind", 201, `{"error": {"message": "sentinel"}}`, secrets.ErrReported},
	}
	for _, tt := range tests {
		_, c := faulty(t, fault{Mode: secretstest.Body, Status: tt.status, Body: tt.body})
		if err := setOne(t, c); !errors.Is(err, tt.want) {
			t.Errorf("%s: Set gave %v, want %v: nothing may be called done that is not", tt.name, err, tt.want)
		}
	}
}

// endless is an answer's body that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

// answering makes a client get this answer.
func answering(c *secrets.Client, status int, header http.Header, body io.Reader) {
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body), Request: r}, nil
	})
}

func TestAnEndlessAnswerIsReadInPart(t *testing.T) {
	_, c := newClient(t)
	body := &endless{}
	answering(c, http.StatusOK, nil, body)
	c.HTTP.Timeout = time.Hour // whatever else the machine does
	if _, err := c.List(t.Context()); !errors.Is(err, secrets.ErrNotEngine) {
		t.Errorf("List gave %v, want ErrNotEngine", err)
	}
	if body.read != 64<<20 {
		t.Errorf("%d bytes of the answer were read, want 64 MB", body.read)
	}
}

func TestARefusalSaysWhetherItIsAPageAndAsksForAStrongerLogin(t *testing.T) {
	const json, bearer, stronger = "application/json", "Bearer", `Bearer error="insufficient_user_authentication"`
	for _, tt := range []struct {
		status          int
		kind, challenge string
		page, stronger  bool
	}{
		{404, "text/html", bearer, true, false},
		{404, "TEXT/HTML; charset=utf-8", bearer, true, false},
		{404, "application/xhtml+xml", bearer, true, false},
		{404, "application/json; profile=html", bearer, false, false},
		{401, json, bearer, false, false},
		{401, json, stronger, false, true},
		{403, json, stronger, false, false},
	} {
		_, c := newClient(t)
		answering(c, tt.status, http.Header{"Content-Type": {tt.kind}, "Www-Authenticate": {tt.challenge}}, strings.NewReader("{}"))
		var refused *secrets.StatusError
		if _, err := c.List(t.Context()); !errors.As(err, &refused) || refused.Page != tt.page || refused.Stronger != tt.stronger {
			t.Errorf("%d of the type %q with the challenge %q gives %#v, want a page: %v, a stronger login: %v",
				tt.status, tt.kind, tt.challenge, err, tt.page, tt.stronger)
		}
	}
}

// A server may repeat the value, the key and the token wherever it likes.
func TestNoErrorPassesOnWhatTheServerSays(t *testing.T) {
	faults := []fault{
		{Mode: secretstest.Reset}, {Mode: secretstest.Hang}, {Mode: secretstest.NotHTTP}, {Mode: secretstest.ShortBody},
		{Mode: secretstest.SlowBody}, {Mode: secretstest.Body, Body: "<html>" + value}, {Mode: secretstest.Body, Body: value},
		{Mode: secretstest.Status, Status: 307, Location: "http://" + value + ".invalid/"},
		{Mode: secretstest.Status, Status: 307, Location: "http://[" + value},
	}
	for status := 300; status < 600; status++ {
		if http.StatusText(status) != "" {
			faults = append(faults, fault{Mode: secretstest.Status, Status: status})
		}
	}
	for _, f := range faults {
		_, c := faulty(t, f)
		if f.Mode == secretstest.SlowBody {
			c.HTTP.Timeout = 50 * time.Millisecond
		}
		_, err := c.List(t.Context())
		for _, err := range []error{setOne(t, c), err} {
			shown := fmt.Sprintf("%v %+v %#v", err, err, err)
			for _, private := range []string{value, token, "cannot PUT", "cannot GET", "sentinel"} {
				if strings.Contains(shown, private) {
					t.Errorf("after %s %d the error holds %q: %s", f.Mode, f.Status, private, shown)
				}
			}
		}
	}
}

// The other statuses are in the table of errors that users meet.
func TestStatusErrorsSayWhatToDoInWordsThatFitTheCommand(t *testing.T) {
	for _, tt := range []struct {
		err          secrets.StatusError
		what, advice string
	}{
		{secrets.StatusError{Status: 400, Method: http.MethodPut}, "this key or its value", "Check the name of the key"},
		{secrets.StatusError{Status: 413, Method: http.MethodGet}, "the request", "--host"},
		{secrets.StatusError{Status: 499, Page: true}, "not an Arcade Engine", "Check --host"},
		{secrets.StatusError{Status: 500, Page: true}, "a problem", "Try again in a while."},
		{secrets.StatusError{Status: 418, Method: http.MethodPut}, "refuses", "--host"},
		{secrets.StatusError{Status: 422, Method: http.MethodDelete}, "the request", "Check --host"},
		{secrets.StatusError{Status: 429, RetryAfter: 119 * time.Second}, "too many", "Try again in 119 s."},
		{secrets.StatusError{Status: 429, RetryAfter: 2 * time.Minute}, "too many", "Try again in 2 min."},
		{secrets.StatusError{Status: 503, RetryAfter: 150 * time.Second}, "a problem", "Try again in 3 min."},
	} {
		var problem *secrets.Problem
		got := tt.err.Error()
		status := fmt.Sprintf(" (HTTP %d)", tt.err.Status)
		if !errors.As(&tt.err, &problem) || !strings.Contains(problem.Do, tt.advice) ||
			!strings.Contains(got, tt.what) || !strings.HasSuffix(got, status) {
			t.Errorf("%#v is explained as %q and %v, want %q and the advice %q", tt.err, got, problem, tt.what, tt.advice)
		}
	}
}

func TestATokenThatNoHeaderCanCarryIsNotSent(t *testing.T) {
	engine, c := newClient(t)
	for _, bad := range []string{"a\nb", "a b", "ä", "a\x00"} {
		c.Token = bad
		if err := setOne(t, c); !errors.Is(err, secrets.ErrBadToken) {
			t.Errorf("Set with the token %q gave %v, want ErrBadToken", bad, err)
		}
	}
	if got := len(engine.Requests()); got != 0 {
		t.Errorf("%d requests were made", got)
	}
}
