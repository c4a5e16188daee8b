package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// sink is a running one.
type sink struct {
	t       *testing.T
	lines   lines
	stop    context.CancelFunc
	code    chan int
	url     string
	printed string
}

// lines is what the sink prints, one line at a time.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// launch starts a sink on a free port and reads its first line.
func launch(t *testing.T, args ...string) *sink {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &sink{t: t, lines: make(lines, 100), stop: stop, code: make(chan int, 1)}
	go func() {
		s.code <- run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), s.lines, s.lines)
		close(s.lines)
	}()
	s.until("listening on ")
	s.url = strings.TrimSpace(strings.TrimPrefix(s.printed, "listening on "))
	return s
}

// until waits for a line that contains the text.
func (s *sink) until(text string) {
	s.t.Helper()
	for line := range s.lines {
		if s.printed += line; strings.Contains(line, text) {
			return
		}
	}
	s.t.Fatalf("the sink ended without %q; it had printed\n%s", text, s.printed)
}

// end ends the sink, of which the summary is the last line.
func (s *sink) end(summary string, code int) {
	s.t.Helper()
	s.stop()
	for line := range s.lines {
		s.printed += line
	}
	if got := <-s.code; got != code || !strings.HasSuffix(s.printed, "\n"+summary+"\n") {
		s.t.Errorf("exit code %d, want %d and %q at the end of\n%s", got, code, summary, s.printed)
	}
}

const noon = "2026-11-23T12:00:00.123Z"

func event(n int, who, at string) string {
	return fmt.Sprintf(`{"uuid":"0190a3c0-0000-7000-8000-%012d","timestamp":%q,"distinct_id":%q,"event":"CLI execution succeeded",`+
		`"properties":{"command_name":"secret.set"}}`, n, at, who)
}

func alias(n int, anon, principal string) string {
	return strings.NewReplacer("CLI execution succeeded", "$create_alias", `"command_name":"secret.set"`, fmt.Sprintf(`"alias":%q`, anon)).
		Replace(event(n, principal, noon))
}

func (s *sink) post(messages ...string) (status int) {
	body := `{"api_key":"phc_test","batch":[` + strings.Join(messages, ",") + `]}`
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := c.Post(s.url+"/batch/", "application/json", strings.NewReader(body))
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestEachMessageIsALineAndTheEndASummary(t *testing.T) {
	s := launch(t)
	s.post(alias(1, "3f2a9c1e-0000-4000-8000-00000000000a", "account-of-ada"), event(2, "account-of-ada", noon))
	s.post(event(2, "account-of-ada", noon))
	s.post(event(3, "account-of-ada", "2026-11-24T12:00:00Z"))
	s.end("messages: 3, requests: 3, repeats: 1, violations: 0", 0)
	want := "listening on " + s.url + `
REQ.NO TIME (UTC)   EVENT                   COMMAND          ...ID      ...UUID
       2026-11-23
1.1    12:00:00.123 $create_alias           <- 00000000a nt-of-ada 000000000001
1.2    12:00:00.123 CLI execution succeeded secret.set   nt-of-ada 000000000002
2.1    12:00:00.123 again: CLI execution su secret.set   nt-of-ada 000000000002
       2026-11-24
3.1    12:00:00.000 CLI execution succeeded secret.set   nt-of-ada 000000000003
messages: 3, requests: 3, repeats: 1, violations: 0
`
	if s.printed != want {
		t.Errorf("printed:\n%s\nwant:\n%s", s.printed, want)
	}
}

func TestWhatGoesWrongIsPrintedAtOnceAndAViolationIsTheExitCode(t *testing.T) {
	s := launch(t)
	s.post(alias(1, "x1", "ada"), alias(2, "x1", "bob"))
	s.until("VIOLATION: the anon id x1 was aliased to ada in request 1 and again, to bob, in request 1")
	s.post(event(3, "ada", noon), event(4, "", noon))
	s.until("request 2: kept 0 of 2, answered 400: message 2: missing_distinct_id")
	wild := "\\u001b[31m" + strings.Repeat("w", 150) + "\\n\\u0000" // what a terminal would obey
	s.post(strings.NewReplacer("CLI execution succeeded", wild, "secret.set", wild).Replace(event(5, wild, noon)))
	s.until("3.1    12:00:00.123 �[31mwww")
	s.end("messages: 3, requests: 3, repeats: 0, violations: 1", 1)
	if strings.ContainsFunc(s.printed, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		t.Errorf("there are control characters in %q", s.printed)
	}
}

func TestFaultsAreActedOutInOrderAndPrinted(t *testing.T) {
	s := launch(t, "--fault", "1x429:retry-after=3", "--fault", "1xcommit+reset-after-body", "--fault", "hang", "--latency", "1ms")
	if got := []int{s.post(event(1, "ada", noon)), s.post(event(2, "ada", noon))}; !slices.Equal(got, []int{429, 0}) {
		t.Errorf("the answers are %d, want 429 and none", got)
	}
	s.until("request 1: kept 0 of 1, answered 429: fault 429:retry-after=3")
	s.until("request 2: kept 1 of 1, not answered: fault commit+reset-after-body")
	answer := make(chan int)
	go func() { answer <- s.post(event(3, "ada", noon)) }()
	s.until("request 3: kept 0 of 1, not answered: fault hang")     // while it hangs
	s.end("messages: 1, requests: 3, repeats: 0, violations: 0", 0) // a fault is no violation
	if status := <-answer; status != 0 {
		t.Errorf("the request that hung was answered with %d at the end", status)
	}
}

func TestWhatCannotBeServedIsRefusedAndExplained(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		args, stderr string
		code         int
	}{
		{"--fault hung", `there is no mode "hung"`, 2},
		{"--fault 0x503", "write a count from 1 to 100,000", 2},
		{"--fault 3x", "and a mode", 2},
		{"--fault hang --fault 503", "never reached", 2},
		{"--port 80", "not defined: -port\nRun sink --help", 2},
		{"now", `unexpected argument "now"`, 2},
		{"--listen " + taken.Addr().String(), "Is another sink running?", 1},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
		if code != test.code || !strings.Contains(stderr.String(), test.stderr) || stdout.Len() > 0 {
			t.Errorf("sink %s: exit code %d, stdout %q, stderr %q; want %d, nothing, and %q",
				test.args, code, stdout.String(), stderr.String(), test.code, test.stderr)
		}
	}
}

func TestHelpExplainsEveryFaultAndFitsTheTerminal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d and %q on stderr, want 0 and nothing", code, stderr.String())
	}
	words := []string{"--listen", "--fault", "--latency", "--old", "commit+", "retry-after"}
	for _, f := range outboxtest.AllFaults() {
		if _, err := strconv.Atoi(f.Mode()); err != nil {
			words = append(words, "  "+f.Mode()+" ")
		}
	}
	for _, word := range words {
		if !strings.Contains(stdout.String(), word) {
			t.Errorf("the help does not mention %s", word)
		}
	}
	for line := range strings.Lines(stdout.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns, a terminal has 80: %q", n, line)
		}
	}
}
