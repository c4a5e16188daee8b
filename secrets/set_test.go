package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

func manyPairs(n int) []secrets.Pair {
	pairs := make([]secrets.Pair, n)
	for i := range pairs {
		pairs[i] = secrets.Pair{Key: fmt.Sprintf("KEY_%02d", i), Value: value}
	}
	return pairs
}

// fourAtOnce holds the changes behind the first, whose path ends in first, until four of them are under way.
func fourAtOnce(t *testing.T, next http.RoundTripper, first string) http.RoundTripper {
	var mu sync.Mutex
	arrived, under := 0, 0
	four := make(chan struct{})
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if path.Base(r.URL.Path) == first || r.Method == http.MethodGet {
			return next.RoundTrip(r)
		}
		mu.Lock()
		arrived++
		if under++; under > 4 {
			t.Error("more than four requests are under way")
		}
		if arrived == 4 {
			close(four)
		}
		mu.Unlock()
		<-four // with fewer at once this would wait for ever
		resp, err := next.RoundTrip(r)
		mu.Lock()
		under--
		mu.Unlock()
		return resp, err
	})
}

func TestSetSendsFourAtOnce(t *testing.T) {
	engine, c := newClient(t)
	c.HTTP.Transport = fourAtOnce(t, c.HTTP.Transport, "KEY_00")
	for r := range c.Set(t.Context(), manyPairs(40)) {
		if r.Err != nil {
			t.Errorf("%s failed: %v", r.Key, r.Err)
		}
	}
	if got := len(engine.Items()); got != 40 {
		t.Errorf("the Engine keeps %d secrets, want 40", got)
	}
	if got := len(engine.Requests()); got != 40 {
		t.Errorf("%d requests were made, want one for each key", got)
	}
}

func TestSetYieldsResultsInTheOrderGiven(t *testing.T) {
	_, c := newClient(t)
	next := c.HTTP.Transport
	overtaken := make(chan struct{})
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		switch path.Base(r.URL.Path) {
		case "KEY_01":
			<-overtaken // the second answer comes after the fourth
		case "KEY_03":
			close(overtaken)
		}
		return resp, err
	})
	pairs := manyPairs(9)
	i := 0
	for r := range c.Set(t.Context(), pairs) {
		if r.Key != pairs[i].Key || r.Err != nil {
			t.Errorf("result %d is %v, want %s", i, r, pairs[i].Key)
		}
		i++
	}
	if i != len(pairs) {
		t.Errorf("%d results came, want %d", i, len(pairs))
	}
}

func TestOneFailureDoesNotStopTheOthers(t *testing.T) {
	engine, c := newClient(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 422, Key: "KEY_01"})
	engine.Inject(secretstest.Fault{Mode: secretstest.Reset, Key: "KEY_03"})
	var failed []string
	for r := range c.Set(t.Context(), manyPairs(6)) {
		if r.Err != nil {
			failed = append(failed, r.Key)
		}
	}
	if want := []string{"KEY_01", "KEY_03"}; !slices.Equal(failed, want) {
		t.Errorf("%v failed, want %v", failed, want)
	}
	if got := len(engine.Items()); got != 4 {
		t.Errorf("the Engine keeps %d secrets, want the other 4", got)
	}
}

func TestSetOfNothingSendsNothing(t *testing.T) {
	engine, c := newClient(t)
	for r := range c.Set(t.Context(), nil) {
		t.Errorf("a result came for nothing: %v", r)
	}
	if got := len(engine.Requests()); got != 0 {
		t.Errorf("%d requests were made", got)
	}
}

func TestSetEndsWithItsContext(t *testing.T) {
	engine, c := newClient(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Hang, Key: "KEY_01"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next, hanging := c.HTTP.Transport, make(chan struct{})
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		switch key := path.Base(r.URL.Path); {
		case key == "KEY_01":
			close(hanging)
		case key == "KEY_07":
			<-hanging
			cancel()
		case key > "KEY_07":
			<-ctx.Done() // so that the others do not run on
		}
		return next.RoundTrip(r)
	})
	results := slices.Collect(c.Set(ctx, manyPairs(200)))
	if len(results) != 200 {
		t.Fatalf("%d results came, want one for each key", len(results))
	}
	for i, want := range map[int]error{0: nil, 1: context.Canceled, 7: context.Canceled, 199: secrets.ErrNotTried} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("%s gave %v, want %v", results[i].Key, results[i].Err, want)
		}
	}
	if got := len(engine.Requests()); got > 20 {
		t.Errorf("%d requests were made although the command was interrupted at the eighth", got)
	}
}

func TestSetEndsWhenNobodyListens(t *testing.T) {
	engine, c := newClient(t)
	next := c.HTTP.Transport
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if path.Base(r.URL.Path) > "KEY_04" {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return next.RoundTrip(r)
	})
	for r := range c.Set(t.Context(), manyPairs(90)) {
		if r.Key == "KEY_04" {
			break // returns although the others hang: their requests are given up
		}
	}
	if got := len(engine.Requests()); got != 5 {
		t.Errorf("%d requests were made for a caller that left after the fifth", got)
	}
}

func TestWhatTheKeysShareEndsTheRun(t *testing.T) {
	status := func(code int) secretstest.Fault { return secretstest.Fault{Mode: secretstest.Status, Status: code} }
	for name, fault := range map[string]secretstest.Fault{
		"401": status(401), "403": status(403), "407": status(407), "a redirect": {Mode: secretstest.Redirect, Location: "/"},
		"an Engine that hangs": {Mode: secretstest.Hang}, "a page": {Mode: secretstest.Page},
		"a wait that is too long": {Mode: secretstest.Status, Status: 429, RetryAfter: "3600"},
	} {
		t.Run(name, func(t *testing.T) {
			engine, c := newClient(t)
			engine.Inject(fault)
			if fault.Mode == secretstest.Hang {
				impatient(c)
			}
			results := slices.Collect(c.Set(t.Context(), manyPairs(50)))
			for i, r := range results {
				if errors.Is(r.Err, secrets.ErrNotTried) != (i > 0) {
					t.Errorf("%s gave %v, want the first to fail and the others not to be tried", r.Key, r.Err)
				}
			}
			if got := len(engine.Requests()); got > 1 {
				t.Errorf("%d requests were made, want the first alone", got)
			}
		})
	}
	t.Run("also in the middle", func(t *testing.T) {
		engine, c := newClient(t)
		engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403, Key: "KEY_10"})
		next, known := c.HTTP.Transport, make(chan struct{})
		c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if path.Base(r.URL.Path) > "KEY_10" {
				<-known // so that the others do not run on while the refusal is on its way
			}
			return next.RoundTrip(r)
		})
		var refused, untried int
		for r := range c.Set(t.Context(), manyPairs(90)) {
			var status *secrets.StatusError
			switch {
			case errors.As(r.Err, &status):
				refused++
				close(known)
			case errors.Is(r.Err, secrets.ErrNotTried):
				untried++
			}
		}
		if refused != 1 || untried < 90-11-3 {
			t.Errorf("%d were refused and %d not tried, want 1 and all but the three that were on their way", refused, untried)
		}
	})
}
