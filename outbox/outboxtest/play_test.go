package outboxtest_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// seen says what a client must see of a mode. Status 0 stands for no answer at all.
type seen struct {
	status int
	body   string // exactly
	err    error  // nil for an answer that is complete
}

func expectation(f outboxtest.Fault) seen {
	const ok = `{"status": "Ok"}`
	switch f.Mode {
	case "hang":
		return seen{err: errTimeout}
	case "reset-in-body", "reset-after-body":
		return seen{err: errReset}
	case "close":
		return seen{err: io.EOF}
	case "short-body":
		return seen{200, ok, io.ErrUnexpectedEOF}
	case "drip":
		return seen{200, ok, nil}
	case "quota-limited":
		return seen{200, `{"status": "Ok", "quota_limited": ["events"]}`, nil}
	case "portal":
		return seen{200, "", nil} // the page is looked at by a test of its own
	}
	digits, isPage := strings.CutPrefix(f.Mode, "page-")
	status, _ := strconv.Atoi(digits)
	if isPage {
		return seen{status, "", nil}
	}
	return seen{status, http.StatusText(status) + "\n", nil}
}

// errTimeout stands for whatever error the client makes of its timeout.
var errTimeout = errors.New("timeout")

func TestEveryFaultLooksRightToItsClientAndCommitsOnlyWhenTold(t *testing.T) {
	for _, f := range outboxtest.AllFaults() {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			timeout := patient
			switch f.Mode {
			case "hang":
				timeout = 200 * time.Millisecond
			case "drip":
				f.Arg = "every=2ms" // the default of 1s is complete after 16 s
			}
			s.SetFaults(f)
			checkSeen(t, f, send(s, client(timeout), batch(event(1, "ada", noon))))

			kept := 0
			if f.Commit {
				kept = 1
			}
			if got := len(s.Commits()); got != kept {
				t.Errorf("%d messages were kept, want %d", got, kept)
			}
			checkHealthyAgain(t, s)
			wantViolations(t, s)
		})
	}
}

func checkSeen(t *testing.T, f outboxtest.Fault, a answer) {
	t.Helper()
	want := expectation(f)
	var timeout net.Error
	isTimeout := errors.As(a.err, &timeout) && timeout.Timeout()
	if want.err == errTimeout != isTimeout || want.err != errTimeout && !errors.Is(a.err, want.err) {
		t.Errorf("the client got the error %v, want %v", a.err, want.err)
	}
	if a.status != want.status || want.body != "" && a.body != want.body {
		t.Errorf("the client got %d %q, want %d %q", a.status, a.body, want.status, want.body)
	}
}

// checkHealthyAgain sends the message of a fault once more: the fault is used up, and only
// one of the two counts.
func checkHealthyAgain(t *testing.T, s *outboxtest.Server) {
	t.Helper()
	post(t, s, event(1, "ada", noon))
	if got := len(s.Events()); got != 1 {
		t.Errorf("%d events after a repeat, want 1", got)
	}
	requests := s.Requests()
	if len(requests) != 2 || requests[0].Ended.IsZero() || requests[0].Fault == (outboxtest.Fault{}) || requests[1].Fault != (outboxtest.Fault{}) {
		t.Errorf("the log of requests is %+v, want one with the fault and one without", requests)
	}
	if want := expectation(requests[0].Fault).status; requests[0].Status != want {
		t.Errorf("the log says the fault answered %d, want %d", requests[0].Status, want)
	}
}

func TestResetsAreResetsOverTLSToo(t *testing.T) {
	s := outboxtest.StartTLS(t)
	s.SetFault(outboxtest.MustFault("reset-after-body"))
	if a := send(s, trusting(t, s), batch(event(1, "ada", noon))); !errors.Is(a.err, errReset) {
		t.Errorf("the client got %v, want a reset connection", a.err)
	}
}

func TestWhoeverStandsInBetweenAnswersWithAPage(t *testing.T) {
	for _, mode := range []string{"portal", "page-400", "page-413"} {
		s := outboxtest.Start(t)
		s.SetFaults(outboxtest.MustFault(mode))
		a := send(s, client(patient), batch(event(1, "ada", noon)))
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "<form") {
			t.Errorf("%s: the answer is %q of type %q, want a page of HTML", mode, a.body, a.header.Get("Content-Type"))
		}
	}
}

func TestAConnectionThatWasUsedBeforeIsCutWhenToldSo(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetCutReused(true)
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	for n, want := range []error{nil, errReset, nil} {
		if a := send(s, c, batch(event(n, "ada", noon))); !errors.Is(a.err, want) {
			t.Errorf("request %d: %v, want %v", n+1, a.err, want)
		}
	}
	wantUUIDs(t, "kept", s.Commits(), 0, 2)
	wantViolations(t, s)
}

func TestRetryAfterIsSentAsAsked(t *testing.T) {
	now := time.Now()
	within := func(header string, from, to time.Duration) bool {
		at, err := http.ParseTime(header)
		return err == nil && !at.Before(now.Add(from)) && !at.After(now.Add(to))
	}
	for fault, right := range map[string]func(header string) bool{
		"429":                                  func(h string) bool { return h == "" },
		"429:retry-after=2":                    func(h string) bool { return h == "2" },
		"503:retry-after=31536000":             func(h string) bool { return h == "31536000" },
		"503:retry-after=soon":                 func(h string) bool { return h == "soon" },
		"commit+429:retry-after=-5":            func(h string) bool { return h == "-5" },
		"500:retry-after=99999999999999999999": func(h string) bool { return h == "99999999999999999999" },
		"503:retry-after=date+1h":              func(h string) bool { return within(h, 59*time.Minute, 61*time.Minute) },
		"429:retry-after=date-1h":              func(h string) bool { return within(h, -61*time.Minute, -59*time.Minute) },
	} {
		t.Run(fault, func(t *testing.T) {
			s := outboxtest.Start(t)
			s.SetFaults(outboxtest.MustFault(fault))
			a := send(s, client(patient), batch(event(1, "ada", noon)))
			if !right(a.header.Get("Retry-After")) {
				t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
			}
		})
	}
}

func TestRedirectsLeadSomewhereAndAreReportedWhenFollowed(t *testing.T) {
	for _, test := range []struct {
		fault     string
		location  string
		followed  int // status that a client sees which follows redirects
		violation string
	}{
		{"307", "/elsewhere", 200, "request 2 follows a redirect to /elsewhere"},
		{"302", "/elsewhere", 200, "request 2 follows a redirect to /elsewhere"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			s := outboxtest.Start(t)
			s.SetFaults(outboxtest.MustFault(test.fault))
			wary := send(s, client(patient), batch(event(1, "ada", noon)))
			if got := wary.header.Get("Location"); got != test.location {
				t.Errorf("Location: %q, want %q", got, test.location)
			}
			wantViolations(t, s)

			s = outboxtest.Start(t)
			s.SetFaults(outboxtest.MustFault(test.fault))
			naive := client(patient)
			naive.CheckRedirect = nil
			if a := send(s, naive, batch(event(1, "ada", noon))); a.status != test.followed {
				t.Errorf("a client that follows got %d, want %d", a.status, test.followed)
			}
			wantViolations(t, s, test.violation)
			if kept := len(s.Commits()); test.location == "/elsewhere" && kept != 0 {
				t.Errorf("%d messages were kept elsewhere, where nothing is kept", kept)
			}
		})
	}
}

func TestElsewhereUsesUpNoFault(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetFaults(outboxtest.MustFault("307"), outboxtest.MustFault("503"))
	naive := client(patient)
	naive.CheckRedirect = nil
	for i, want := range []int{200, 503} {
		if a := send(s, naive, batch(event(1, "ada", noon))); a.status != want {
			t.Errorf("delivery %d ended in %d, want %d", i+1, a.status, want)
		}
	}
}

func TestAPermanentFaultStaysAndAnEmptyScriptHeals(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetFault(outboxtest.MustFault("503"))
	for range 3 {
		if a := send(s, client(patient), batch(event(1, "ada", noon))); a.status != 503 {
			t.Fatalf("answered %d, want 503 every time", a.status)
		}
	}
	s.SetFaults()
	post(t, s, event(1, "ada", noon))
}

func TestABurstEndsInTheNextFault(t *testing.T) {
	s := outboxtest.Start(t)
	var script outboxtest.Script
	for _, word := range []string{"2x502", "1xok", "401"} {
		if err := script.Set(word); err != nil {
			t.Fatal(err)
		}
	}
	s.SetScript(script)
	for i, want := range []int{502, 502, 200, 401, 401} {
		if a := send(s, client(patient), batch(event(1, "ada", noon))); a.status != want {
			t.Errorf("request %d was answered with %d, want %d", i+1, a.status, want)
		}
	}
}

func TestABatchThatIsRefusedIsRefusedInsteadOfCommitted(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetFaults(outboxtest.MustFault("commit+hang"))
	a := send(s, client(patient), batch(`{"event":"e"}`))
	if a.status != http.StatusBadRequest || len(s.Commits()) != 0 {
		t.Errorf("answered %d and kept %d, want 400: what cannot be kept cannot be kept first", a.status, len(s.Commits()))
	}
}
