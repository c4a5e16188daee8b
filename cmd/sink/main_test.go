package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// asSink in the environment makes the test binary the sink itself.
const asSink = "SINK_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSink) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a running sink.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	lines   *bufio.Scanner
	stderr  bytes.Buffer
	url     string
	printed []string
}

// launch starts a sink on a free port and reads its first line.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // ends a sink that hangs
	t.Cleanup(cancel)
	p := &process{t: t}
	p.cmd = exec.CommandContext(ctx, os.Args[0], append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(os.Environ(), asSink+"=1")
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	first := p.next()
	var found bool
	if p.url, found = strings.CutPrefix(first, "listening on "); !found {
		t.Fatalf("the first line is %q, want the address", first)
	}
	return p
}

// next waits for the next line.
func (p *process) next() string {
	p.t.Helper()
	if !p.lines.Scan() {
		err := p.cmd.Wait() // before stderr can be read
		p.t.Fatalf("the sink ended: %v; it had printed %q and %q", err, p.printed, p.stderr.String())
	}
	return p.note(p.lines.Text())
}

// note keeps a line and checks what every line has to be.
func (p *process) note(line string) string {
	p.t.Helper()
	if strings.ContainsFunc(line, unicode.IsControl) {
		p.t.Errorf("a line with control characters: %q", line)
	}
	p.printed = append(p.printed, line)
	return line
}

// until waits for a line that contains the text.
func (p *process) until(text string) string {
	p.t.Helper()
	for {
		if line := p.next(); strings.Contains(line, text) {
			return line
		}
	}
}

// end sends a signal and returns the last line and the exit code.
func (p *process) end(signal os.Signal) (last string, code int) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

func (p *process) wait() (last string, code int) {
	p.t.Helper()
	for p.lines.Scan() {
		p.note(p.lines.Text())
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if p.stderr.Len() > 0 {
		p.t.Errorf("on stderr: %q, want nothing", p.stderr.String())
	}
	return p.printed[len(p.printed)-1], p.cmd.ProcessState.ExitCode()
}

func needsSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent a signal here")
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

func (p *process) post(messages ...string) (status int) {
	p.t.Helper()
	body := `{"api_key":"phc_test","batch":[` + strings.Join(messages, ",") + `]}`
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := c.Post(p.url+"/batch/", "application/json", strings.NewReader(body))
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestEachMessageIsALineAndTheEndASummary(t *testing.T) {
	needsSignals(t)
	p := launch(t)
	p.post(alias(1, "3f2a9c1e-0000-4000-8000-00000000000a", "account-of-ada", noon), event(2, "account-of-ada", noon))
	p.post(event(2, "account-of-ada", noon))
	p.post(event(3, "account-of-ada", "2026-11-24T12:00:00Z"))
	last, code := p.end(os.Interrupt)
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
	if strings.Join(p.printed, "\n") != strings.Join(want, "\n") {
		t.Errorf("printed:\n%s\nwant:\n%s", strings.Join(p.printed, "\n"), strings.Join(want, "\n"))
	}
	if code != exitOK || last != want[len(want)-1] {
		t.Errorf("exit code %d after %q, want 0", code, last)
	}
}

func TestWhatGoesWrongIsPrintedAtOnceAndAViolationIsTheExitCode(t *testing.T) {
	needsSignals(t)
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
			if last, code := p.end(os.Interrupt); code != test.code || last != test.summary {
				t.Errorf("exit code %d after %q, want %d after %q", code, last, test.code, test.summary)
			}
		})
	}
}

func TestFaultsAreActedOutInOrderAndPrinted(t *testing.T) {
	needsSignals(t)
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
	p.until("request 4: 1 message, 0 kept, not answered: fault hang") // while it hangs
	last, code := p.end(syscall.SIGTERM)
	if status := <-done; status != 0 {
		t.Errorf("the request that hung was answered with %d at the end", status)
	}
	if want := "2 messages in 4 requests, 0 repeats, 0 violations"; last != want || code != exitOK {
		t.Errorf("exit code %d after %q, want 0 after %q: a fault is no violation", code, last, want)
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
