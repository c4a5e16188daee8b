package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
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
	lines   *bufio.Scanner
	stderr  bytes.Buffer
	code    chan int
	url     string
	printed []string
}

// launch starts a sink on a free port and reads its first line.
func launch(t *testing.T, args ...string) *sink {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent a signal here")
	}
	reader, writer, err := os.Pipe() // which has room for all that a test prints
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	s := &sink{t: t, lines: bufio.NewScanner(reader), code: make(chan int, 1)}
	go func() {
		s.code <- run(append([]string{"--listen", "127.0.0.1:0"}, args...), writer, &s.stderr)
		writer.Close()
	}()
	var found bool
	if s.url, found = strings.CutPrefix(s.next(), "listening on "); !found {
		t.Fatalf("the first line is %q, want the address", s.printed)
	}
	return s
}

// next waits for the next line, and checks what every line has to be.
func (s *sink) next() string {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("the sink ended with %d; it had printed %q and %q", <-s.code, s.printed, s.stderr.String())
	}
	line := s.lines.Text()
	if strings.ContainsFunc(line, unicode.IsControl) {
		s.t.Errorf("a line with control characters: %q", line)
	}
	s.printed = append(s.printed, line)
	return line
}

// until waits for a line that contains the text.
func (s *sink) until(text string) {
	s.t.Helper()
	for !strings.Contains(s.next(), text) {
	}
}

// end interrupts the sink, which has listened for that since before its first line, and waits for its summary.
func (s *sink) end(summary string, code int) {
	s.t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(os.Interrupt)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.until(summary)
	if got := <-s.code; got != code || s.stderr.Len() > 0 || s.lines.Scan() {
		s.t.Errorf("exit code %d after %q and %q on stderr, want %d after %q and nothing", got, s.printed, s.stderr.String(), code, summary)
	}
}

// id makes a uuid that ends in a number.
func id(n int) string { return fmt.Sprintf("0190a3c0-0000-7000-8000-%012d", n) }

const noon = "2026-11-23T12:00:00.123Z"

func event(n int, who, at string) string {
	return fmt.Sprintf(`{"uuid":%q,"timestamp":%q,"distinct_id":%q,"event":"CLI execution succeeded","properties":{"command_name":"secret.set"}}`, id(n), at, who)
}

func alias(n int, anon, principal, at string) string {
	return fmt.Sprintf(`{"uuid":%q,"timestamp":%q,"distinct_id":%q,"event":"$create_alias","properties":{"alias":%q}}`, id(n), at, principal, anon)
}

func (s *sink) post(messages ...string) (status int) {
	s.t.Helper()
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
	p.post(alias(1, "3f2a9c1e-0000-4000-8000-00000000000a", "account-of-ada", noon), event(2, "account-of-ada", noon))
	p.post(event(2, "account-of-ada", noon))
	p.post(event(3, "account-of-ada", "2026-11-24T12:00:00Z"))
	p.end("3 messages in 3 requests, 1 repeat, 0 violations", exitOK)
	want := []string{
		"listening on " + p.url,
		"REQ.NO TIME (UTC)   EVENT                   COMMAND          ...ID      ...UUID",
		"       2026-11-23",
		"1.1    12:00:00.123 $create_alias           <- 00000000a nt-of-ada 000000000001",
		"1.2    12:00:00.123 CLI execution succeeded secret.set   nt-of-ada 000000000002",
		"2.1    12:00:00.123 again: CLI execution s… secret.set   nt-of-ada 000000000002",
		"       2026-11-24",
		"3.1    12:00:00.000 CLI execution succeeded secret.set   nt-of-ada 000000000003",
		"3 messages in 3 requests, 1 repeat, 0 violations",
	}
	if !slices.Equal(p.printed, want) {
		t.Errorf("printed:\n%s\nwant:\n%s", strings.Join(p.printed, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatGoesWrongIsPrintedAtOnceAndAViolationIsTheExitCode(t *testing.T) {
	wild := "\\u001b[31m" + strings.Repeat("w", 150) + "\\n\\u0000"
	noisy := strings.NewReplacer("CLI execution succeeded", wild, "secret.set", wild).Replace(event(1, wild, noon))
	tests := map[string]struct {
		messages []string
		line     string // that is printed while the sink goes on
		summary  string
		code     int
	}{
		"an anon id with two principals": {
			[]string{alias(1, "x1", "ada", noon), alias(2, "x1", "bob", noon)},
			"VIOLATION: the anon id x1 was aliased to ada in request 1 and again, to bob, in request 1",
			"2 messages in 1 request, 0 repeats, 1 violation", exitFailure,
		},
		"a message that PostHog refuses": {
			[]string{event(1, "ada", noon), event(2, "", noon)},
			"request 1: 2 messages, 0 kept, answered 400: message 2: missing_distinct_id",
			"0 messages in 1 request, 0 repeats, 0 violations", exitOK,
		},
		"control characters, which a terminal would obey": {
			[]string{noisy}, "1.1    12:00:00.123 �[31mwww", "1 message in 1 request, 0 repeats, 0 violations", exitOK,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := launch(t)
			p.post(test.messages...)
			p.until(test.line)
			p.end(test.summary, test.code)
		})
	}
}

func TestFaultsAreActedOutInOrderAndPrinted(t *testing.T) {
	p := launch(t, "--fault", "1x429:retry-after=3", "--fault", "1xcommit+reset-after-body", "--fault", "1xok", "--fault", "hang", "--latency", "1ms")
	for n, want := range []struct {
		status int
		line   string
	}{
		{429, "request 1: 1 message, 0 kept, answered 429: fault 429:retry-after=3"},
		{0, "request 2: 1 message, 1 kept, not answered: fault commit+reset-after-body"},
		{200, "3.1    12:00:00.123"},
	} {
		if got := p.post(event(n, "ada", noon)); got != want.status {
			t.Errorf("request %d was answered with %d, want %d", n+1, got, want.status)
		}
		p.until(want.line)
	}
	done := make(chan int)
	go func() { done <- p.post(event(4, "ada", noon)) }()
	p.until("request 4: 1 message, 0 kept, not answered: fault hang")  // while it hangs
	p.end("2 messages in 4 requests, 0 repeats, 0 violations", exitOK) // a fault is no violation
	if status := <-done; status != 0 {
		t.Errorf("the request that hung was answered with %d at the end", status)
	}
}

func TestWrongUsageIsRefusedBeforeAnythingIsServed(t *testing.T) {
	for _, test := range []struct {
		args   string
		stderr string
	}{
		{"--listen 0.0.0.0:0", "listens on loopback only"},
		{"--listen :0", "listens on loopback only"},
		{"--listen example.com:80", "listens on loopback only"},
		{"--listen 127.0.0.1", "write an address and a port"},
		{"--fault hung", `there is no mode "hung"`},
		{"--fault 0x503", "the count must be"},
		{"--fault 3x", "without a name"},
		{"--fault hang --fault 503", "never reached"},
		{"--latency -1s", "cannot be negative"},
		{"--port 80", "not defined: -port"},
		{"now", `unexpected argument "now"`},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(strings.Fields(test.args), &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), test.stderr) || stdout.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want 2, nothing, and %q", code, stdout.String(), stderr.String(), test.stderr)
			}
			if !strings.Contains(stderr.String(), "sink --help") {
				t.Errorf("stderr %q does not say where help is", stderr.String())
			}
		})
	}
}

func TestATakenPortIsExplained(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stdout, stderr bytes.Buffer
	code := run([]string{"--listen", taken.Addr().String()}, &stdout, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), "Is another sink running?") || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 1 and a hint", code, stdout.String(), stderr.String())
	}
}

func TestHelpExplainsEveryFaultAndFitsTheTerminal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--help"}, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
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
