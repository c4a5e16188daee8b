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

// patience is shared by the calls of one client: when the Engine asks one of them to wait, all do.
type patience struct {
	mu    sync.Mutex // held during a wait
	count int        // of waits
	used  time.Duration
}

// waits returns the number of waits so far, once none is under way.
func (p *patience) waits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// wait waits as long as the refusal asks, and reports whether another attempt may be made. before is the
// number of waits when the refused attempt began: another call may have waited since. All calls wait during
// sleep.
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

// retryAfter reads a wait in seconds; 0 for anything else. A date, which needs the server's clock, gets the
// usual waits.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(strings.TrimSpace(header.Get("Retry-After")), 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
