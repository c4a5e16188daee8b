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

func TestSetSendsFourAtOnce(t *testing.T) {
	engine, c := newClient(t)
	next := c.HTTP.Transport
	var mu sync.Mutex
	arrived, under := 0, 0
	four := make(chan struct{})
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
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
		case "KEY_00":
			<-overtaken // the first answer comes after the third
		case "KEY_02":
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
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403, Key: "KEY_01"})
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
	engine.Inject(secretstest.Fault{Mode: secretstest.Hang, Key: "KEY_00"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := c.HTTP.Transport
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if path.Base(r.URL.Path) == "KEY_07" {
			cancel()
		}
		return next.RoundTrip(r)
	})
	results := slices.Collect(c.Set(ctx, manyPairs(200)))
	if len(results) != 200 {
		t.Fatalf("%d results came, want one for each key", len(results))
	}
	for _, r := range []secrets.Result{results[0], results[7], results[199]} {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%s gave %v, want the context's error", r.Key, r.Err)
		}
	}
	if got := len(engine.Requests()); got > 20 {
		t.Errorf("%d requests were made although the command was interrupted at the eighth", got)
	}
}

func TestSetEndsWhenNobodyListens(t *testing.T) {
	engine, c := newClient(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Hang, Key: "KEY_05"})
	for r := range c.Set(t.Context(), manyPairs(200)) {
		if r.Key == "KEY_04" {
			break // returns although KEY_05 hangs: its request is given up
		}
	}
	if got := len(engine.Requests()); got >= 200 {
		t.Errorf("%d requests were made for a caller that left after the fifth", got)
	}
}
