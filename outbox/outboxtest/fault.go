package outboxtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one way to fail. The zero Fault is none: the server is healthy. Values can be
// compared, and [Fault.String] and [ParseFault] are each other's inverse.
type Fault struct {
	// Mode names what happens: "hang", "reset-in-body", "portal", or a status such as "503".
	// [FaultHelp] lists all of them.
	Mode string
	// Arg varies some modes: "retry-after=3" for a status, "every=1s" for "drip". It may be
	// empty.
	Arg string
	// Commit keeps the batch first, as a healthy server would, and then fails.
	Commit bool
}

// commitPrefix marks a fault that keeps the batch first.
const commitPrefix = "commit+"

// String returns the form that [ParseFault] reads, "ok" for none.
func (f Fault) String() string {
	if f == (Fault{}) {
		return "ok"
	}
	name := f.Mode
	if f.Commit {
		name = commitPrefix + name
	}
	if f.Arg != "" {
		name += ":" + f.Arg
	}
	return name
}

// ParseFault reads "[commit+]MODE[:ARG]", for example "hang", "commit+reset-after-body" or
// "429:retry-after=3", and "ok" for none.
func ParseFault(name string) (Fault, error) {
	if name == "ok" {
		return Fault{}, nil
	}
	var f Fault
	name, f.Commit = strings.CutPrefix(name, commitPrefix)
	f.Mode, f.Arg, _ = strings.Cut(name, ":")
	switch {
	case f.Mode == "":
		return Fault{}, fmt.Errorf("fault %q: there is no mode in it", name)
	case strings.HasSuffix(name, ":"):
		return Fault{}, fmt.Errorf("fault %q: nothing stands behind the colon", name)
	}
	if err := f.check(); err != nil {
		return Fault{}, err
	}
	return f, nil
}

// MustFault is [ParseFault] for names that are written in a test. It panics on a wrong one.
func MustFault(name string) Fault {
	f, err := ParseFault(name)
	if err != nil {
		panic("outboxtest: " + err.Error())
	}
	return f
}

// AllFaults returns every fault: each mode with each argument that makes a difference, and
// each of them again with committing first where that is possible.
func AllFaults() []Fault {
	var all []Fault
	for _, m := range modes() {
		for _, arg := range append([]string{""}, m.samples...) {
			all = append(all, Fault{Mode: m.name, Arg: arg})
			if m.commits {
				all = append(all, Fault{Mode: m.name, Arg: arg, Commit: true})
			}
		}
	}
	return all
}

// FaultHelp explains the modes for a person, in lines of at most 80 columns.
func FaultHelp() string {
	var help strings.Builder
	var codes []string
	for _, m := range modes() {
		if m.help == "" {
			codes = append(codes, m.name)
			continue
		}
		fmt.Fprintf(&help, "  %-18s %s\n", m.name, m.help)
	}
	fmt.Fprintf(&help, `  %s
                     that status, and any other from 201 to 599. From 400 on
                     with :retry-after=TEXT if wanted, where TEXT may be date+5s
                     or date-1h for an HTTP date
`, strings.Join(codes, " "))
	return help.String()
}

// check says what is wrong with a fault that a person or a test has put together.
func (f Fault) check() error {
	if f == (Fault{}) {
		return nil
	}
	m, known := findMode(f.Mode)
	switch {
	case !known:
		return fmt.Errorf("fault %q: there is no mode %q", f, f.Mode)
	case f.Commit && !m.commits:
		return fmt.Errorf("fault %q: a body that was not read cannot be committed first", f)
	case f.Arg == "":
		return nil
	}
	key, value, _ := strings.Cut(f.Arg, "=")
	if key != m.arg || value == "" || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("fault %q: mode %q takes no argument %q", f, f.Mode, f.Arg)
	}
	return checkArg(f, key, value)
}

func checkArg(f Fault, key, value string) error {
	switch key {
	case "every":
		if every, err := time.ParseDuration(value); err != nil || every <= 0 {
			return fmt.Errorf("fault %q: %q is no duration", f, value)
		}
	case "retry-after":
		if _, err := retryAfter(value, time.Time{}); err != nil {
			return fmt.Errorf("fault %q: %w", f, err)
		}
	}
	return nil
}

// value is the argument's value, or otherwise when there is no argument.
func (f Fault) value(otherwise string) string {
	if _, value, found := strings.Cut(f.Arg, "="); found {
		return value
	}
	return otherwise
}

// retryAfter makes the header of an argument: "date+5s" and "date-1h" become a date as seen
// from now, anything else stands for itself.
func retryAfter(value string, now time.Time) (string, error) {
	offset, isDate := strings.CutPrefix(value, "date")
	if !isDate {
		return value, nil
	}
	ahead, err := time.ParseDuration(offset)
	if err != nil {
		return "", fmt.Errorf("%q is no date: write date+5s or date-1h", value)
	}
	return now.Add(ahead).UTC().Format(http.TimeFormat), nil
}

// mode is what a fault's name stands for.
type mode struct {
	name    string
	help    string   // empty for a plain status
	arg     string   // the name of its argument, if it takes one
	samples []string // arguments that make a difference, for AllFaults
	commits bool     // the body is read, so it can be kept first
	status  int      // what is answered, 0 for no answer
	play    func(*exchange)
}

// modes lists every mode, in the order of a request's life.
func modes() []mode {
	named := []mode{
		{name: "reset-in-body", help: "reset the connection in the middle of the body", play: (*exchange).resetInBody},
		{name: "reset-after-body", help: "reset it after the body", commits: true, play: (*exchange).reset},
		{name: "close", help: "close it after the body, without an answer", commits: true, play: (*exchange).hangUp},
		{name: "hang", help: "never answer, until the client leaves", commits: true, play: (*exchange).hang},
		{name: "drip", help: "answer byte by byte, one each second or :every=DURATION", arg: "every", commits: true, status: 200, play: (*exchange).drip},
		{name: "short-body", help: "200 with less body than Content-Length says", commits: true, status: 200, play: (*exchange).shortBody},
		{name: "portal", help: "200 with the log-in page of a captive portal", commits: true, status: 200, play: (*exchange).page},
		{name: "page-400", help: "400 with a page, as a web server answers plain HTTP", status: 400, play: (*exchange).page},
		{name: "page-413", help: "413 with a page, as a proxy answers a large body", status: 413, play: (*exchange).page},
		{name: "quota-limited", help: "200 that says the quota is used up", commits: true, status: 200, play: (*exchange).quotaLimited},
	}
	for _, code := range []int{307, 400, 401, 413, 429, 502, 503} {
		named = append(named, statusMode(code))
	}
	return named
}

// statusMode is the mode of a plain status.
func statusMode(code int) mode {
	m := mode{name: strconv.Itoa(code), status: code, commits: true, play: (*exchange).plainStatus}
	switch {
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		m.samples = []string{"retry-after=2", "retry-after=date+2s"}
		fallthrough
	case code >= 400:
		m.arg = "retry-after"
	case code >= 300:
		m.play = (*exchange).redirect
	}
	return m
}

// findMode finds a mode by name. Statuses that AllFaults leaves out have one, too.
func findMode(name string) (mode, bool) {
	if i := slices.IndexFunc(modes(), func(m mode) bool { return m.name == name }); i >= 0 {
		return modes()[i], true
	}
	code, err := strconv.Atoi(name)
	if err != nil || code < 201 || code > 599 || name != strconv.Itoa(code) {
		return mode{}, false
	}
	return statusMode(code), true
}
