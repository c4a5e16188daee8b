package outbox

import (
	"strings"
	"testing"
	"time"
)

func TestWhatAMessageLeavesOutIsFilledInButForTheDistinctIDOfAHeldOne(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		given      Message
		kind       Kind
		distinctID string
	}{
		"an event":                {Message{Event: "ran"}, Capture, "anon"},
		"an event under a name":   {Message{Event: "ran", Hold: "credential"}, Capture, ""},
		"an alias without a name": {Message{Event: "$create_alias", Kind: Alias}, Alias, ""},
		"an alias under a name":   {Message{Event: "$create_alias", Kind: Alias, Hold: "credential"}, Alias, ""},
	} {
		test.given.AnonID = "anon"
		m, err := test.given.complete(now)
		isFilled := m.Kind == test.kind && isPlainUUID(m.UUID) && string(m.Properties) == `{}` && m.RecordedAt.Equal(now)
		if err != nil || !isFilled || m.DistinctID != test.distinctID {
			t.Errorf("%s becomes %+v, %v; want a %s of %q, now, with a uuid and no properties", name, m, err, test.kind, test.distinctID)
		}
	}
}

func TestAMessageThatNoSinkCouldSendIsAnErrorWhenItIsAdded(t *testing.T) {
	year := func(n int) time.Time { return time.Date(n, 12, 31, 0, 0, 0, 0, time.UTC) }
	good := Message{Event: "ran", AnonID: "anon"}
	for want, change := range map[string]func(m *Message){
		"kind":            func(m *Message) { m.Kind = "other" },
		"uuid":            func(m *Message) { m.UUID = "x" },
		"lower-case":      func(m *Message) { m.UUID = "0190A0A0-0000-7000-8000-00000000000B" },
		"five groups":     func(m *Message) { m.UUID = "{0190a0a0-0000-7000-8000-00000000000b}" },
		"no event":        func(m *Message) { m.Event = "" },
		"nobody":          func(m *Message) { m.AnonID = "" },
		"is held":         func(m *Message) { m.DistinctID, m.Hold = "person", "name" },
		"time":            func(m *Message) { m.RecordedAt = year(10_000) },
		"not valid":       func(m *Message) { m.RecordedAt = year(-1) },
		"not a JSON":      func(m *Message) { m.Properties = []byte(`[1]`) },
		"a JSON object":   func(m *Message) { m.Properties = []byte(`{"a":`) },
		"properties are ": func(m *Message) { m.Properties = []byte(`null`) },
	} {
		m := good
		change(&m)
		_, err := m.complete(time.Now())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives the error %v, want one that says %q: it would wait, and be found dead later", m, err, want)
		}
	}
	for _, n := range []int{0, 9999} {
		if _, err := (Message{Event: "ran", AnonID: "anon", RecordedAt: year(n)}).complete(time.Now()); err != nil {
			t.Errorf("the year %d gives %v, want none: it can be sent", n, err)
		}
	}
}

func TestBackOffDoublesFromFiveSecondsToFifteenMinutesAndIsHalfRandom(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 8: 640 * time.Second, 9: 15 * time.Minute, 1000: 15 * time.Minute,
		0: 5 * time.Second, -1 << 31: 5 * time.Second, // of a damaged row
	} {
		least, most := backOff(failures, 0), backOff(failures, 0.999999999999).Round(time.Millisecond)
		if least != want/2 || most != want {
			t.Errorf("after %d failures the wait is between %s and %s, want half of %s, and all of it", failures, least, most, want)
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
