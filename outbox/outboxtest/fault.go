package outboxtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one way to fail, written [commit+]MODE[:retry-after=TEXT]; "" is none. With commit+ the events
// are kept first, as by a healthy server. TEXT is the header beside a status from 400 on. MODE is a
// status from 201 to 599, or one of those that [AllFaults] names.
type Fault string

const v1Path = "/i/v1/analytics/events"

// commitPrefix marks a fault after which the events are kept.
const commitPrefix = "commit+"

// MustFault returns the fault of that name. It panics if there is none.
func MustFault(name string) Fault {
	if err := Fault(name).Check(); err != nil {
		panic("outboxtest: " + err.Error())
	}
	return Fault(name)
}

// Check says what is wrong with a fault that a person typed.
func (f Fault) Check() error {
	status, after, hasWait := f.status(), f.retryAfter(), strings.Contains(string(f), ":")
	switch {
	case f == "":
	case !slices.Contains(AllFaults(), Fault(f.Mode())) && (status <= 200 || status > 599 || f.Mode() != strconv.Itoa(status)):
		return fmt.Errorf("fault %q: there is no mode %q", f, f.Mode())
	case f.commits() && !f.arrives():
		return fmt.Errorf("fault %q: what PostHog does not get cannot be kept first", f)
	case hasWait && (status < 400 || after == "" || strings.ContainsAny(after, "\r\n")):
		return fmt.Errorf("fault %q: that is no :retry-after=TEXT, or no place for one", f)
	}
	return nil
}

// AllFaults returns the faults that make a difference, and those that can keep the events first once
// more with that.
func AllFaults() (all []Fault) {
	for _, f := range []Fault{
		"reset-in-body", "reset-after-body", "close", "hang", "short-body", "portal", "page-400", "page-413", "quota-limited",
		"307", "400", "401", "404", "413", "429", "502", "503",
	} {
		if all = append(all, f); f.arrives() {
			all = append(all, commitPrefix+f)
		}
	}
	return all
}

// Mode is what happens, without what stands before and behind it.
func (f Fault) Mode() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(string(f), commitPrefix), ":")
	return name
}

func (f Fault) commits() bool { return strings.HasPrefix(string(f), commitPrefix) }

// arrives says whether PostHog gets the body.
func (f Fault) arrives() bool {
	return f.Mode() != "reset-in-body" && !strings.HasPrefix(f.Mode(), "page-")
}

// status is the status of the mode, or 0.
func (f Fault) status() int {
	code, _ := strconv.Atoi(strings.TrimPrefix(f.Mode(), "page-"))
	return code
}

// retryAfter is the header, or "".
func (f Fault) retryAfter() string {
	_, after, _ := strings.Cut(string(f), ":retry-after=")
	return after
}
