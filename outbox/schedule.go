package outbox

import "time"

// The back-off after a run that left messages pending: 5 s, doubling to 15 min, half of it random, so
// that the machines of an outage do not come back at the same moment.
const (
	firstBackOff = 5 * time.Second
	lastBackOff  = 15 * time.Minute
	// longestWait is how long a Retry-After is honoured, and so the longest wait there is.
	longestWait = time.Hour
)

// Schedule is when the next delivery may begin, and why not earlier.
type Schedule struct {
	Failures     int       // consecutive runs that left messages pending
	FailingSince time.Time // when the first of them ended
	NotBefore    time.Time // our own back-off
	RetryAfter   time.Time // what the server asked for
	WaitingUntil time.Time // a flusher has been started that goes to work by then
	LastError    string    // why the last run ended early, in fixed words
	LastCode     string    // the same as an identifier, see Verdict
	LastSuccess  time.Time
}

// Next returns the time before which a flusher does not start; zero means at once. A wait
// longer than the longest possible one was written under another clock and counts as over.
func (s Schedule) Next(now time.Time) time.Time {
	next := ahead(s.NotBefore, now)
	if retry := ahead(s.RetryAfter, now); retry.After(next) {
		next = retry
	}
	return next
}

// ServerHold is Next without our own back-off: what a person who asks for delivery now has to
// respect all the same.
func (s Schedule) ServerHold(now time.Time) time.Time { return ahead(s.RetryAfter, now) }

// Waiting reports whether a flusher that was started waits for a back-off to end, or for the one at
// work.
func (s Schedule) Waiting(now time.Time) bool { return !ahead(s.WaitingUntil, now).IsZero() }

func ahead(until, now time.Time) time.Time {
	if !until.After(now) || until.Sub(now) > longestWait {
		return time.Time{}
	}
	return until
}

// backOff returns the wait after the given number of consecutive failures. jitter is a random
// number in [0, 1).
func backOff(failures int, jitter float64) time.Duration {
	wait := lastBackOff
	if shift := failures - 1; shift < 8 { // 5 s << 8 is over 15 min
		wait = min(firstBackOff<<max(shift, 0), lastBackOff)
	}
	return wait/2 + time.Duration(jitter*float64(wait/2))
}
