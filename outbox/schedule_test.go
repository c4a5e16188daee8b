package outbox

import (
	"testing"
	"time"
)

func TestBackOffDoublesFromFiveSecondsToFifteenMinutesAndIsHalfRandom(t *testing.T) {
	tests := []struct {
		failures int
		least    time.Duration
		most     time.Duration
	}{
		{1, 2500 * time.Millisecond, 5 * time.Second},
		{2, 5 * time.Second, 10 * time.Second},
		{3, 10 * time.Second, 20 * time.Second},
		{8, 320 * time.Second, 640 * time.Second},
		{9, 450 * time.Second, 15 * time.Minute},
		{1000, 450 * time.Second, 15 * time.Minute},
		{0, 2500 * time.Millisecond, 5 * time.Second}, // a damaged row
		{-1 << 31, 2500 * time.Millisecond, 5 * time.Second},
	}
	for _, test := range tests {
		if got := backOff(test.failures, 0); got != test.least {
			t.Errorf("after %d failures the shortest wait is %s, want %s", test.failures, got, test.least)
		}
		if got := backOff(test.failures, 0.999999999999); got > test.most || got < test.most-time.Millisecond {
			t.Errorf("after %d failures the longest wait is %s, want %s", test.failures, got, test.most)
		}
	}
}

func TestTheLaterOfBackOffAndRetryAfterDecides(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		notBefore, retryAfter, next time.Duration // from now; 0 of next: at once
	}{
		"a back-off":        {time.Minute, 0, time.Minute},
		"a Retry-After":     {0, time.Minute, time.Minute},
		"the later one":     {time.Minute, 2 * time.Minute, 2 * time.Minute},
		"what is over":      {-1, 0, 0},
		"the longest waits": {time.Hour, time.Hour, time.Hour},
		"longer ones, which were stored under another clock": {time.Hour + 1, 24 * time.Hour, 0},
	} {
		var want time.Time
		if test.next > 0 {
			want = now.Add(test.next)
		}
		schedule := Schedule{NotBefore: now.Add(test.notBefore), RetryAfter: now.Add(test.retryAfter)}
		if got := schedule.Next(now); !got.Equal(want) {
			t.Errorf("%s: next is %s, want %s", name, got, want)
		}
	}
}
