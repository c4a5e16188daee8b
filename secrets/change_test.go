package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

type fault = secretstest.Fault

// seeded is an Engine with secrets whose ids are sec_0001 and so on: keys, and types after a blank.
func seeded(t *testing.T, stored ...string) (*secretstest.Engine, *secrets.Client) {
	t.Helper()
	engine, c := newClient(t)
	for _, secret := range stored {
		key, kind, _ := strings.Cut(secret, " ")
		engine.Add(secretstest.Item{Key: key, Type: kind})
	}
	return engine, c
}

// unset runs Unset to its end.
func unset(t *testing.T, c *secrets.Client, o secrets.UnsetOptions, keys ...string) []secrets.Result {
	t.Helper()
	results, err := c.Unset(t.Context(), keys, o)
	if err != nil {
		t.Fatalf("Unset failed: %v", err)
	}
	return slices.Collect(results)
}

// before lets act hold a request. The last segment of its path is the key of a PUT, or the id of a DELETE.
func before(c *secrets.Client, act func(segment string, r *http.Request)) {
	next := c.HTTP.Transport
	c.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		act(path.Base(r.URL.Path), r)
		return next.RoundTrip(r)
	})
}

// fates sorts keys by what became of them.
func fates(results iter.Seq[secrets.Result]) (done, failed, untried []string) {
	for r := range results {
		switch {
		case r.Err == nil:
			done = append(done, r.Key)
		case errors.Is(r.Err, secrets.ErrNotTried):
			untried = append(untried, r.Key)
		default:
			failed = append(failed, r.Key)
		}
	}
	return done, failed, untried
}

// requestsOf returns the keys or ids of the requests with this method.
func requestsOf(engine *secretstest.Engine, method string) (segments []string) {
	for _, r := range engine.Requests() {
		if r.Method == method {
			segments = append(segments, r.Key)
		}
	}
	return segments
}

// fourAtOnce holds the changes after the first, whose path ends in first, until four of them are under way.
func fourAtOnce(t *testing.T, next http.RoundTripper, first string) http.RoundTripper {
	var under atomic.Int32
	four := make(chan struct{})
	release := sync.OnceFunc(func() { close(four) })
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if path.Base(r.URL.Path) == first || r.Method == http.MethodGet {
			return next.RoundTrip(r)
		}
		defer under.Add(-1)
		switch n := under.Add(1); {
		case n == 4:
			release()
		case n > 4:
			t.Error("more than four requests are under way")
		}
		<-four // with fewer at once this would wait for ever
		return next.RoundTrip(r)
	})
}

func TestFourChangesAreMadeAtOnce(t *testing.T) {
	engine, c := newClient(t)
	direct := c.HTTP.Transport
	c.HTTP.Transport = fourAtOnce(t, direct, "KEY_00")
	keys, _, _ := fates(c.Set(t.Context(), manyPairs(40)))
	if kept, sent := len(engine.Items()), len(engine.Requests()); len(keys) != 40 || kept != 40 || sent != 40 {
		t.Errorf("%d were set, the Engine keeps %d after %d requests, want 40 after one for each", len(keys), kept, sent)
	}
	c.HTTP.Transport = fourAtOnce(t, direct, "sec_0001")
	if deleted, _, _ := fates(slices.Values(unset(t, c, secrets.UnsetOptions{}, keys...))); len(deleted) != 40 || len(engine.Items()) != 0 {
		t.Errorf("%q were deleted, the Engine keeps %d, want none", deleted, len(engine.Items()))
	}
}

func TestSetYieldsResultsInTheOrderGiven(t *testing.T) {
	_, c := newClient(t)
	overtaken := make(chan struct{})
	before(c, func(key string, _ *http.Request) {
		switch key {
		case "KEY_01":
			<-overtaken
		case "KEY_05": // goes when one of the three after KEY_01 has its answer
			close(overtaken)
		}
	})
	done, _, _ := fates(c.Set(t.Context(), manyPairs(7)))
	if want := []string{"KEY_00", "KEY_01", "KEY_02", "KEY_03", "KEY_04", "KEY_05", "KEY_06"}; !slices.Equal(done, want) {
		t.Errorf("the results are of %q, want %q", done, want)
	}
}

func TestOneFailureDoesNotStopTheOthers(t *testing.T) {
	engine, c := newClient(t)
	engine.Inject(fault{Mode: secretstest.Status, Status: 404, Key: "A/B"}) // a slash may lead elsewhere
	engine.Inject(fault{Mode: secretstest.Status, Status: 400, Key: "KEY_01"})
	engine.Inject(fault{Mode: secretstest.Body, Status: 500, Body: "<html>", Key: "PAGE"})
	engine.Inject(fault{Mode: secretstest.Reset, Key: "KEY_03"})
	done, failed, _ := fates(c.Set(t.Context(), append(pairsOf("PAGE", value, "A/B", value), manyPairs(20)...)))
	if want := []string{"PAGE", "A/B", "KEY_01", "KEY_03"}; !slices.Equal(failed, want) || len(done) != 18 || len(engine.Items()) != 18 {
		t.Errorf("%q failed and %q were set, want %q and the other 18", failed, done, want)
	}
}

func TestSetEndsWithItsContext(t *testing.T) {
	_, c := newClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before(c, func(key string, r *http.Request) {
		if key == "KEY_01" {
			cancel()
		}
		if key > "KEY_01" {
			<-r.Context().Done() // so that the others do not run on; it ends after ctx
		}
	})
	results := slices.Collect(c.Set(ctx, manyPairs(90)))
	if len(results) != 90 {
		t.Fatalf("%d results came, want one for each key", len(results))
	}
	for i, want := range map[int]error{0: nil, 1: context.Canceled, 5: secrets.ErrNotTried, 89: secrets.ErrNotTried} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("%s gave %v, want %v: the command was interrupted at the second", results[i].Key, results[i].Err, want)
		}
	}
}

func TestSetEndsWhenItsCallerStopsListening(t *testing.T) {
	engine, c := newClient(t)
	before(c, func(key string, r *http.Request) {
		if key > "KEY_04" {
			<-r.Context().Done()
		}
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
	status := func(code int) fault { return fault{Mode: secretstest.Status, Status: code} }
	for name, f := range map[string]fault{
		"401": status(401), "403": status(403), "404": status(404), "407": status(407), "511": status(511), "a redirect": status(307),
		"an Engine that hangs": {Mode: secretstest.Hang}, "an answer of no Engine": {Mode: secretstest.Body, Body: "[]"},
		"a page": {Mode: secretstest.Body, Body: "<html>"}, "a proxy's page": {Mode: secretstest.Body, Status: 400, Body: "<html>"},
		"a wait that is too long": {Mode: secretstest.Status, Status: 429, RetryAfter: "3600"},
	} {
		engine, c := faulty(t, f)
		_, failed, untried := fates(c.Set(t.Context(), manyPairs(50)))
		if sent := len(engine.Requests()); len(failed) != 1 || len(untried) != 49 || sent != 1 {
			t.Errorf("%s: %q failed, %d were not tried, after %d requests; want the first to fail and no other to be tried",
				name, failed, len(untried), sent)
		}
	}
	engine, c := seeded(t, "A", "B", "C")
	engine.Inject(fault{Mode: secretstest.Status, Status: 403, Method: http.MethodDelete})
	if _, failed, untried := fates(slices.Values(unset(t, c, secrets.UnsetOptions{}, "A", "B", "C"))); len(failed) != 1 || len(untried) != 2 {
		t.Errorf("of an unset %q failed, %q were not tried, want the first to be refused and the others not to be tried", failed, untried)
	}
}

// announced returns the waits that a client announces.
func announced(c *secrets.Client) *[]time.Duration {
	waits := new([]time.Duration)
	c.Waiting = func(d time.Duration) { *waits = append(*waits, d) } // never twice at once
	return waits
}

func TestAWaitThatTheEngineAsksForIsHonoured(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name   string
		fault  fault
		waits  []time.Duration
		status int // of the error; 0 means success
	}{
		{"429 says how long", fault{Status: 429, RetryAfter: "7", Times: 2}, []time.Duration{7 * s, 7 * s}, 0},
		{"503 says how long", fault{Status: 503, RetryAfter: "7", Times: 1}, []time.Duration{7 * s}, 0},
		{"429 does not say", fault{Status: 429, Times: 3}, []time.Duration{1 * s, 2 * s, 4 * s}, 0},
		{"503 does not say", fault{Status: 503, Times: 2}, []time.Duration{1 * s, 2 * s}, 0},
		{"429 with a date", fault{Status: 429, RetryAfter: "Wed, 21 Oct 2099 07:28:00 GMT", Times: 1}, []time.Duration{1 * s}, 0},
		{"a minute is not exceeded", fault{Status: 429}, []time.Duration{1 * s, 2 * s, 4 * s, 8 * s, 16 * s}, 429},
		{"a minute in all", fault{Status: 503, RetryAfter: "25"}, []time.Duration{25 * s, 25 * s}, 503},
		{"a wait of a minute is begun", fault{Status: 429, RetryAfter: "60", Times: 1}, []time.Duration{60 * s}, 0},
		{"a wait of more is not", fault{Status: 429, RetryAfter: "61"}, nil, 429},
		{"more seconds than a number holds", fault{Status: 429, RetryAfter: "99999999999999999999"}, nil, 429},
		{"less than nothing", fault{Status: 429, RetryAfter: "-5", Times: 1}, []time.Duration{1 * s}, 0},
		{"500 asks for nothing", fault{Status: 500, RetryAfter: "1", Times: 1}, nil, 500},
	}
	for _, tt := range tests {
		tt.fault.Mode = secretstest.Status
		_, c := faulty(t, tt.fault)
		waits := announced(c)
		wantStatus(t, setOne(t, c), tt.status)
		if !slices.Equal(*waits, tt.waits) {
			t.Errorf("%s: the waits were %v, want %v", tt.name, *waits, tt.waits)
		}
	}
}

func TestTheCallsOfARunWaitTogether(t *testing.T) {
	engine, c := newClient(t)
	waits := announced(c)
	engine.Inject(fault{Mode: secretstest.Status, Status: 429, RetryAfter: "20", Key: "KEY_03", Times: 2})
	engine.Inject(fault{Mode: secretstest.Status, Status: 429, RetryAfter: "20", Key: "KEY_20"})
	set, known := make(chan struct{}), make(chan struct{})
	var asked atomic.Int32 // for KEY_03
	before(c, func(key string, _ *http.Request) {
		switch {
		case key == "KEY_03" && asked.Add(1) == 3:
			close(set)
		case key == "KEY_20":
			<-set // so that KEY_03 has its two waits
		case key > "KEY_20":
			<-known // so that the others do not run on
		}
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
	if !slices.Equal(failed, []string{"KEY_20"}) || len(untried) < 90-21-3 {
		t.Errorf("%q failed and %d were not tried, want KEY_20 to end the run but for the three on their way", failed, len(untried))
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	engine, c := faulty(t, fault{Mode: secretstest.Status, Status: 429, RetryAfter: "50"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Sleep = nil // the wait would take 50 seconds
	c.Waiting = func(time.Duration) { cancel() }
	done, _, _ := fates(c.Set(ctx, manyPairs(3)))
	if got := len(engine.Requests()); got != 1 || done != nil {
		t.Errorf("%d requests were made and %q set, want nothing after Ctrl-C", got, done)
	}
}

func TestUnsetDeletesTheSecretsThatAreChosen(t *testing.T) {
	const choose = " secrets with this key, of the types project, none: Choose one with --type, or delete all with --all-types."
	mixed := []string{"KEY project", "KEY \x1b[31m", "OTHER user", "KEY project"}
	type options = secrets.UnsetOptions
	tests := []struct {
		name    string
		stored  []string // keys, and types after a blank
		keys    string
		options options
		deleted string   // ids, the first key's before the others
		results []string // keys, with types and errors
	}{
		{"each key once, in the order given", []string{"A", "B", "C", "D"}, "C A missing C B missing", options{},
			"sec_0003 sec_0001 sec_0002", []string{"C", "A", "missing: no such secret", "B"}},
		{"not without a choice", mixed, "KEY", options{}, "", []string{"KEY: there are 3" + choose}},
		{"not without a choice where all are alike", []string{"KEY project", "KEY project"}, "KEY", options{}, "",
			[]string{"KEY: there are 2 secrets with this key, all of the type project: Delete them with --all-types."}},
		{"by their type", mixed, "KEY", options{Type: "\x1b[31m"}, "sec_0002", []string{"KEY"}},
		{"by a type that two have", mixed, "KEY", options{Type: "project"}, "sec_0001 sec_0004", []string{"KEY project", "KEY project"}},
		{"by a type that none has", mixed, "KEY", options{Type: "tenant"}, "", []string{"KEY: no such secret"}},
		{"all of them", mixed, "KEY", options{AllTypes: true}, "sec_0001 sec_0002 sec_0004",
			[]string{"KEY project", "KEY \x1b[31m", "KEY project"}},
		{"one that looks like the key", []string{"\ufeffSTRIPE", "B"}, "STRIPE", options{}, "sec_0001", []string{"STRIPE"}},
		{"not several that look like it", []string{"\ufeffTWICE", "TWI\u200bCE"}, "TWICE", options{}, "", []string{"TWICE: no such secret"}},
		{"the exact one before what looks like it", []string{"EXACT\u200b", "EXACT"}, "EXACT", options{}, "sec_0002", []string{"EXACT"}},
	}
	for _, tt := range tests {
		engine, c := seeded(t, tt.stored...)
		var results []string
		for _, r := range unset(t, c, tt.options, strings.Fields(tt.keys)...) {
			results = append(results, told(r))
		}
		if !slices.Equal(results, tt.results) {
			t.Errorf("%s: the results are %q, want %q", tt.name, results, tt.results)
		}
		deleted := requestsOf(engine, http.MethodDelete)
		slices.Sort(deleted[min(1, len(deleted)):]) // those after the first travel together and may arrive in any order
		if got := strings.Join(deleted, " "); got != tt.deleted {
			t.Errorf("%s: %q were deleted, want %q", tt.name, got, tt.deleted)
		}
		if got := len(requestsOf(engine, http.MethodGet)); got != 1 {
			t.Errorf("%s: the list was fetched %d times, want once", tt.name, got)
		}
	}
}

// told is a result in words.
func told(r secrets.Result) string {
	text := strings.TrimSpace(r.Key + " " + r.Type)
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	if problem := (*secrets.Problem)(nil); errors.As(r.Err, &problem) {
		text += ": " + problem.Do
	}
	return text
}

func TestUnsetTellsALostAnswerFromASecretThatIsGone(t *testing.T) {
	gone := fault{Mode: secretstest.Status, Status: 404}
	for name, tt := range map[string]struct {
		faults   []fault // the last one first
		want     error
		requests int
	}{
		"the answer to the deletion is lost":  {[]fault{gone, {Mode: secretstest.Reset, Times: 1}}, nil, 2},
		"the answer is lost before it counts": {[]fault{{Mode: secretstest.Reset, Times: 1}}, nil, 2},
		"another process has deleted it":      {[]fault{gone}, secrets.ErrNoSuchSecret, 1},
		"the Engine knows that it once was":   {[]fault{{Mode: secretstest.Status, Status: 410}}, secrets.ErrNoSuchSecret, 1},
		"another program answers":             {[]fault{{Mode: secretstest.Body, Body: "[]"}}, secrets.ErrNotEngine, 1},
	} {
		engine, c := seeded(t, "A")
		for _, f := range tt.faults {
			f.Method = http.MethodDelete
			engine.Inject(f)
		}
		got := unset(t, c, secrets.UnsetOptions{}, "A")[0].Err
		if asked := len(requestsOf(engine, http.MethodDelete)); !errors.Is(got, tt.want) || asked != tt.requests {
			t.Errorf("%s: %v after %d requests, want %v after %d", name, got, asked, tt.want, tt.requests)
		}
	}
}

func TestUnsetNeverDeletesWithoutAnID(t *testing.T) {
	engine, c := newClient(t)
	engine.Answer(`{"items": [{"key": "A"}, {"key": "B", "id": ""}, {"key": "C", "id": 3}, {"id": "sec_1"}]}`)
	for _, r := range unset(t, c, secrets.UnsetOptions{}, "A", "B", "C") {
		if !errors.Is(r.Err, secrets.ErrNoSuchSecret) {
			t.Errorf("%s gave %v, want ErrNoSuchSecret", r.Key, r.Err)
		}
	}
	if got := requestsOf(engine, http.MethodDelete); got != nil {
		t.Errorf("deletions of %q were asked for: without an id that is the whole collection", got)
	}
	engine.Answer("null")
	if _, err := c.Unset(t.Context(), []string{"A"}, secrets.UnsetOptions{}); !errors.Is(err, secrets.ErrNotEngine) {
		t.Errorf("without a list Unset gave %v, want the error of the list", err)
	}
}
