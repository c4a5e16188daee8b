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
	printed []string
}

// lines is what the sink prints, one line at a time.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- strings.TrimSuffix(string(line), "\n")
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
	var found bool
	if s.url, found = strings.CutPrefix(s.until(""), "listening on "); !found {
		t.Fatalf("the first line is %q, want the address", s.printed)
	}
	return s
}

// until waits for a line that contains the text, and checks what every line has to be.
func (s *sink) until(text string) string {
	s.t.Helper()
	for line := range s.lines {
		if strings.ContainsFunc(line, unicode.IsControl) {
			s.t.Errorf("a line with control characters: %q", line)
		}
		if s.printed = append(s.printed, line); strings.Contains(line, text) {
			return line
		}
	}
	s.t.Fatalf("the sink ended with %d and without %q; it had printed %q", <-s.code, text, s.printed)
	return ""
}

// end ends the sink and checks its last line.
func (s *sink) end(summary string, code int) {
	s.t.Helper()
	s.stop()
	s.until(summary)
	if got := <-s.code; got != code {
		s.t.Errorf("exit code %d after %q, want %d", got, s.printed, code)
	}
	if line, more := <-s.lines; more {
		s.t.Errorf("%q follows the summary", line)
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
	p := launch(t)
	p.post(alias(1, "3f2a9c1e-0000-4000-8000-00000000000a", "account-of-ada"), event(2, "account-of-ada", noon))
	p.post(event(2, "account-of-ada", noon))
	p.post(event(3, "account-of-ada", "2026-11-24T12:00:00Z"))
	p.end("3 messages in 3 requests, 1 repeat, 0 violations", exitOK)
	want := []string{
		"listening on " + p.url,
		"REQ.NO TIME (UTC)   EVENT                   COMMAND          ...ID      ...UUID",
		"       2026-11-23",
		"1.1    12:00:00.123 $create_alias           <- 00000000a nt-of-ada 000000000001",
		"1.2    12:00:00.123 CLI execution succeeded secret.set   nt-of-ada 000000000002",
		"2.1    12:00:00.123 again: CLI execution su secret.set   nt-of-ada 000000000002",
		"       2026-11-24",
		"3.1    12:00:00.000 CLI execution succeeded secret.set   nt-of-ada 000000000003",
		"3 messages in 3 requests, 1 repeat, 0 violations",
	}
	if !slices.Equal(p.printed, want) {
		t.Errorf("printed:\n%s\nwant:\n%s", strings.Join(p.printed, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatGoesWrongIsPrintedAtOnceAndAViolationIsTheExitCode(t *testing.T) {
	p := launch(t)
	p.post(alias(1, "x1", "ada"), alias(2, "x1", "bob"))
	p.until("VIOLATION: the anon id x1 was aliased to ada in request 1 and again, to bob, in request 1")
	p.post(event(3, "ada", noon), event(4, "", noon))
	p.until("request 2: 2 messages, 0 kept, answered 400: message 2: missing_distinct_id")
	wild := "\\u001b[31m" + strings.Repeat("w", 150) + "\\n\\u0000" // what a terminal would obey
	p.post(strings.NewReplacer("CLI execution succeeded", wild, "secret.set", wild).Replace(event(5, wild, noon)))
	p.until("3.1    12:00:00.123 �[31mwww")
	p.end("3 messages in 3 requests, 0 repeats, 1 violation", exitFailure)
}

func TestFaultsAreActedOutInOrderAndPrinted(t *testing.T) {
	p := launch(t, "--fault", "1x429:retry-after=3", "--fault", "1xcommit+reset-after-body", "--fault", "hang", "--latency", "1ms")
	for n, want := range []struct {
		status int
		line   string
	}{
		{429, "request 1: 1 message, 0 kept, answered 429: fault 429:retry-after=3"},
		{0, "request 2: 1 message, 1 kept, not answered: fault commit+reset-after-body"},
	} {
		if got := p.post(event(n, "ada", noon)); got != want.status {
			t.Errorf("request %d was answered with %d, want %d", n+1, got, want.status)
		}
		p.until(want.line)
	}
	done := make(chan int)
	go func() { done <- p.post(event(3, "ada", noon)) }()
	p.until("request 3: 1 message, 0 kept, not answered: fault hang") // while it hangs
	p.end("1 message in 3 requests, 0 repeats, 0 violations", exitOK) // a fault is no violation
	if status := <-done; status != 0 {
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
		{"--fault hung", `there is no mode "hung"`, exitUsage},
		{"--fault 0x503", "write a count from 1 to 100,000", exitUsage},
		{"--fault 3x", "and a mode", exitUsage},
		{"--fault hang --fault 503", "never reached", exitUsage},
		{"--port 80", "not defined: -port\nRun sink --help", exitUsage},
		{"now", `unexpected argument "now"`, exitUsage},
		{"--listen " + taken.Addr().String(), "Is another sink running?", exitFailure},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
			if code != test.code || !strings.Contains(stderr.String(), test.stderr) || stdout.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, nothing, and %q", code, stdout.String(), stderr.String(), test.code, test.stderr)
			}
		})
	}
}

func TestHelpExplainsEveryFaultAndFitsTheTerminal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
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
