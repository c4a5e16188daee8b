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
	in := func(d time.Duration) time.Time { return now.Add(d) }
	tests := []struct {
		name       string
		schedule   Schedule
		next, hold time.Time
	}{
		{"nothing holds", Schedule{}, time.Time{}, time.Time{}},
		{"a back-off does not hold a person", Schedule{NotBefore: in(time.Minute)}, in(time.Minute), time.Time{}},
		{"a Retry-After holds everybody", Schedule{RetryAfter: in(time.Minute)}, in(time.Minute), in(time.Minute)},
		{"the later one", Schedule{NotBefore: in(time.Minute), RetryAfter: in(2 * time.Minute)}, in(2 * time.Minute), in(2 * time.Minute)},
		{"what is over does not hold", Schedule{NotBefore: in(-1), RetryAfter: in(0)}, time.Time{}, time.Time{}},
		{"the longest wait holds", Schedule{RetryAfter: in(time.Hour)}, in(time.Hour), in(time.Hour)},
		{"a longer one was written under another clock", Schedule{NotBefore: in(time.Hour + 1), RetryAfter: in(24 * time.Hour)}, time.Time{}, time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.schedule.Next(now); !got.Equal(test.next) {
				t.Errorf("next is %s, want %s", got, test.next)
			}
			if got := ahead(test.schedule.RetryAfter, now); !got.Equal(test.hold) {
				t.Errorf("a person is held until %s, want %s", got, test.hold)
			}
		})
	}
}
