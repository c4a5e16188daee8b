package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// The back-off after a run that nobody, or not PostHog, answered: 5 s, doubling to 15 min,
// half of it random, so that the machines of an outage do not come back at the same moment.
const (
	firstBackOff = 5 * time.Second
	lastBackOff  = 15 * time.Minute
	// longestWait is how long a Retry-After is honoured, and so the longest wait there is.
	longestWait = time.Hour
)

// Schedule is when the next delivery may begin, and why not earlier.
type Schedule struct {
	Failures     int       // consecutive runs that ended without an answer
	FailingSince time.Time // when the first of them ended
	NotBefore    time.Time // our own back-off
	RetryAfter   time.Time // what the server asked for
	LastError    string
	LastSuccess  time.Time
}

// Next returns the time before which a flusher does not start; zero means at once. A wait
// longer than the longest possible one was written under another clock and counts as over.
func (s Schedule) Next(now time.Time) time.Time {
	next := s.held(s.NotBefore, now)
	if retry := s.held(s.RetryAfter, now); retry.After(next) {
		next = retry
	}
	return next
}

// ServerHold is Next without our own back-off: what a person who asks for delivery now has to
// respect all the same.
func (s Schedule) ServerHold(now time.Time) time.Time {
	return s.held(s.RetryAfter, now)
}

func (s Schedule) held(until, now time.Time) time.Time {
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

// ScheduleTx reads the schedule.
func ScheduleTx(ctx context.Context, tx *sql.Tx) (Schedule, error) {
	var s Schedule
	var since, notBefore, retryAfter, success sql.NullInt64
	err := tx.QueryRowContext(ctx, `
		SELECT failures, failing_since, not_before, retry_after, coalesce(last_error, ''), last_success_at FROM delivery`).
		Scan(&s.Failures, &since, &notBefore, &retryAfter, &s.LastError, &success)
	if err != nil {
		return Schedule{}, fmt.Errorf("read schedule: %w", err)
	}
	s.FailingSince, s.LastSuccess = fromMillis(since), fromMillis(success)
	s.NotBefore, s.RetryAfter = fromMillis(notBefore), fromMillis(retryAfter)
	return s, nil
}

func succeededTx(ctx context.Context, tx *sql.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE delivery SET failures = 0, failing_since = NULL, not_before = 0, retry_after = 0, last_error = NULL, last_success_at = ?`,
		now.UnixMilli())
	return err
}

func postponedTx(ctx context.Context, tx *sql.Tx, v verdict, now time.Time, jitter float64) error {
	schedule, err := ScheduleTx(ctx, tx)
	if err != nil {
		return err
	}
	var retryAfter time.Time
	if v.retryAfter > 0 {
		retryAfter = now.Add(min(v.retryAfter, longestWait))
	}
	failures := schedule.Failures + 1
	_, err = tx.ExecContext(ctx, `
		UPDATE delivery SET failures = ?, failing_since = coalesce(failing_since, ?), not_before = ?,
			retry_after = coalesce(?, 0), last_error = ?`,
		failures, now.UnixMilli(), now.Add(backOff(failures, jitter)).UnixMilli(), millis(retryAfter), v.reason)
	return err
}
