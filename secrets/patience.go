package secrets

import (
	"context"
	"errors"
	"fmt"
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

// patience is what the calls of one client share: when one of them is asked to wait, all do.
type patience struct {
	mu    sync.Mutex // held while somebody waits
	count int        // of waits
	used  time.Duration
}

// waits returns how often there was a wait, after the present one.
func (p *patience) waits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// asksToWait reports whether the Engine wants to be asked again later.
func asksToWait(err error) bool {
	var refused *StatusError
	return errors.As(err, &refused) && (refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusServiceUnavailable)
}

// wait lets the time pass that the Engine asks for, and reports whether another attempt may be
// made. before is the number of waits when the attempt began that was refused: another call may
// have waited since.
func (c *Client) wait(ctx context.Context, before int, refusal error) bool {
	p := &c.patience
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
	if c.Waiting != nil {
		c.Waiting(pause)
	}
	c.sleep(ctx, pause)
	return true
}

func (c *Client) sleep(ctx context.Context, d time.Duration) {
	if c.Sleep != nil {
		c.Sleep(ctx, d)
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// retryAfter reads a header's wait, in seconds or as a date that the server's own clock is
// compared with. 0 means that there is none that can be understood.
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

// later says when a refusal may be over.
func (e *StatusError) later() string {
	switch {
	case e.RetryAfter == 0:
		return "try again in a while"
	case e.RetryAfter < 2*time.Minute:
		return fmt.Sprintf("try again in %d s", e.RetryAfter/time.Second)
	case e.RetryAfter < 2*time.Hour:
		return fmt.Sprintf("try again in %d min", (e.RetryAfter+time.Minute-1)/time.Minute)
	}
	return fmt.Sprintf("try again in %d h", (e.RetryAfter+time.Hour-1)/time.Hour)
}
