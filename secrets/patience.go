package secrets

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxWaiting is how long the calls of one client wait in all because they are asked to.
	maxWaiting = time.Minute
	// firstWait is for an Engine that does not say how long; it doubles with each wait.
	firstWait = time.Second
)

// patience is shared by the calls of one client: when one of them is asked to wait, all do.
type patience struct {
	mu    sync.Mutex // held during a wait
	count int        // of waits
	used  time.Duration
}

// waits returns how often there was a wait, after the present one.
func (p *patience) waits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// wait lets the time pass that the Engine asks for with a refusal, and reports whether another attempt
// may be made. before is the number of waits when the attempt began that was refused: another call may
// have waited since. sleep is called with all calls waiting.
func (p *patience) wait(before int, refusal error, sleep func(time.Duration)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count != before {
		return true
	}
	pause := firstWait << min(p.count, 10)
	var refused *StatusError
	if errors.As(refusal, &refused) && refused.RetryAfter > 0 {
		pause = refused.RetryAfter
	}
	if p.used+pause > maxWaiting {
		return false
	}
	p.used += pause
	p.count++
	sleep(pause)
	return true
}

// retryAfter reads a header's wait, in seconds or as a date that the server's own clock is
// compared with. 0 means no wait, or one that cannot be understood.
func retryAfter(header http.Header) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return max(until.Sub(now), 0)
}
