package outbox

import "time"

// The back-off after a run that left messages pending: 5 s, doubling to 15 min, half of it random, so
// that after an outage the machines do not all come back at the same moment.
const (
	firstBackOff = 5 * time.Second
	lastBackOff  = 15 * time.Minute
	// longestWait is the longest Retry-After that is respected, and so the longest wait of all.
	longestWait = time.Hour
)

// Schedule is when the next delivery may begin, and why not earlier.
type Schedule struct {
	Failures     int       // consecutive runs that left messages pending
	FailingSince time.Time // when the first of them ended
	NotBefore    time.Time // our own back-off
	RetryAfter   time.Time // what the server asked for
	WaitingUntil time.Time // a flusher was started that begins its work by then
	LastError    string    // why the last run ended early, in fixed words
	LastCode     string    // the same as an identifier, see Verdict
	LastSuccess  time.Time // when a server last accepted a message
}

// Next returns the time before which no flusher starts; zero means at once. A wait longer than the longest
// possible one was stored under another clock and counts as over.
func (s Schedule) Next(now time.Time) time.Time {
	next := ahead(s.NotBefore, now)
	if retry := ahead(s.RetryAfter, now); retry.After(next) {
		next = retry
	}
	return next
}

// ServerWait is Next without our own back-off, for Flush.
func (s Schedule) ServerWait(now time.Time) time.Time { return ahead(s.RetryAfter, now) }

// Waiting reports whether a flusher waits for a back-off to end, or for the flusher at work.
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
