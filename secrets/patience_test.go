package secrets_test

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/secrets"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// announced returns the waits that a client announces.
func announced(c *secrets.Client) *[]time.Duration {
	var mu sync.Mutex
	waits := new([]time.Duration)
	c.Waiting = func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		*waits = append(*waits, d)
	}
	return waits
}

func TestAWaitThatTheEngineAsksForIsHonoured(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name   string
		fault  secretstest.Fault
		waits  []time.Duration
		status int // of the error; 0 means success
	}{
		{"429 says how long", secretstest.Fault{Status: 429, RetryAfter: "7", Times: 2}, []time.Duration{7 * s, 7 * s}, 0},
		{"503 says how long", secretstest.Fault{Status: 503, RetryAfter: "7", Times: 1}, []time.Duration{7 * s}, 0},
		{"429 does not say", secretstest.Fault{Status: 429, Times: 3}, []time.Duration{1 * s, 2 * s, 4 * s}, 0},
		{"429 says nothing that makes sense", secretstest.Fault{Status: 429, RetryAfter: "soon", Times: 1}, []time.Duration{1 * s}, 0},
		{"429 with a date", secretstest.Fault{Status: 429, RetryAfter: "Wed, 21 Oct 2099 07:28:00 GMT", Times: 1}, []time.Duration{1 * s}, 0},
		{"a minute is not exceeded", secretstest.Fault{Status: 429}, []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 16 * s}, 429},
		{"a minute in all", secretstest.Fault{Status: 503, RetryAfter: "25"}, []time.Duration{25 * s, 25 * s}, 503},
		{"a wait of more than a minute is not begun", secretstest.Fault{Status: 429, RetryAfter: "61"}, nil, 429},
		{"503 does not say", secretstest.Fault{Status: 503, Times: 2}, []time.Duration{1 * s, 2 * s}, 0},
		{"429 says more seconds than a number holds", secretstest.Fault{Status: 429, RetryAfter: "99999999999999999999"}, nil, 429},
		{"429 says less than nothing", secretstest.Fault{Status: 429, RetryAfter: "-5", Times: 1}, []time.Duration{1 * s}, 0},
		{"500 asks for nothing", secretstest.Fault{Status: 500, RetryAfter: "1", Times: 1}, nil, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine, c := newClient(t)
			waits := announced(c)
			tt.fault.Mode = secretstest.Status
			engine.Inject(tt.fault)
			err := setOne(t, c)
			var refused *secrets.StatusError
			if errors.As(err, &refused) != (tt.status != 0) || refused != nil && refused.Status != tt.status || tt.status == 0 && err != nil {
				t.Errorf("Set gave %v, want status %d", err, tt.status)
			}
			if !slices.Equal(*waits, tt.waits) {
				t.Errorf("the waits were %v, want %v", *waits, tt.waits)
			}
		})
	}
}

func TestTheCallsOfARunWaitTogether(t *testing.T) {
	engine, c := newClient(t)
	waits := announced(c)
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 429, RetryAfter: "20", Key: "KEY_03", Times: 2})
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 429, RetryAfter: "20", Key: "KEY_20"})
	next, set, known := c.HTTP.Transport, make(chan struct{}), make(chan struct{})
	var asked atomic.Int32 // for KEY_03
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		switch key := path.Base(r.URL.Path); {
		case key == "KEY_03" && asked.Add(1) == 3:
			defer close(set)
		case key == "KEY_20":
			<-set // so that KEY_03 has its two waits
		case key > "KEY_20":
			<-known // so that the others do not run on
		}
		return next.RoundTrip(r)
	})
	var failed, untried []string
	for r := range c.Set(t.Context(), manyPairs(90)) {
		switch {
		case errors.Is(r.Err, secrets.ErrNotTried):
			untried = append(untried, r.Key)
		case r.Err != nil:
			failed = append(failed, r.Key)
			close(known)
		}
	}
	if len(*waits) != 3 {
		t.Errorf("the waits were %v, want three: a minute for all keys together", *waits)
	}
	if !slices.Equal(failed, []string{"KEY_20"}) || len(untried) == 0 {
		t.Errorf("%q failed and %d were not tried, want KEY_20 to end the run", failed, len(untried))
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	engine, c := newClient(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 429, RetryAfter: "50"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Waiting = func(time.Duration) { cancel() }
	for r := range c.Set(ctx, manyPairs(3)) {
		if r.Err == nil {
			t.Errorf("%s was set although it was refused", r.Key)
		}
	}
	if got := len(engine.Requests()); got != 1 {
		t.Errorf("%d requests were made, want none after Ctrl-C", got)
	}
}
