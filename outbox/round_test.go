package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// scripted is a sink whose answers a test gives. Its body is never looked at.
type scripted struct {
	endpoint string
	most     int // messages that Encode takes; 0: all
	answer   func(r outbox.Request) outbox.Answer
	requests []outbox.Request
}

func (s *scripted) Endpoint() string                               { return s.endpoint }
func (s *scripted) Check() error                                   { return nil }
func (s *scripted) Wire(m outbox.Message) (json.RawMessage, error) { return m.Properties, nil }

func (s *scripted) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	if s.most > 0 {
		return []byte("body"), min(s.most, len(messages)), nil
	}
	return []byte("body"), len(messages), nil
}

func (s *scripted) Send(_ context.Context, r outbox.Request) outbox.Answer {
	s.requests = append(s.requests, r)
	return s.answer(r)
}

// sizes returns how many messages each request had.
func (s *scripted) sizes() (list []int) {
	for _, r := range s.requests {
		list = append(list, len(r.Messages))
	}
	return list
}

var (
	accepted = outbox.Verdict{Outcome: outbox.Accepted}
	refused  = outbox.Verdict{Outcome: outbox.Refused, Code: "event_too_big", Reason: "PostHog: event_too_big"}
	again    = outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeServer, Reason: "come again"}
)

func all(v outbox.Verdict) outbox.Answer { return outbox.Answer{Verdict: v} }

func fewer(code string) outbox.Answer {
	return all(outbox.Verdict{Outcome: outbox.Fewer, Code: code, Reason: "too many"})
}

// each answers with one verdict for each message, by its number.
func each(verdict func(n int) outbox.Verdict) func(outbox.Request) outbox.Answer {
	return func(r outbox.Request) (a outbox.Answer) {
		for _, m := range r.Messages {
			var p struct{ N int }
			if err := json.Unmarshal(m.Properties, &p); err != nil {
				panic(err)
			}
			a.Each = append(a.Each, verdict(p.N))
		}
		return a
	}
}

// always answers so to each request.
func always(v outbox.Verdict) *scripted {
	return &scripted{endpoint: "here", answer: func(outbox.Request) outbox.Answer { return all(v) }}
}

// through makes the outbox send through s.
func through(s *scripted) func(*outbox.Config) { return func(cfg *outbox.Config) { cfg.Sink = s } }

func TestEachMessageHasAReceiptOfItsOwn(t *testing.T) {
	b := newBench(t)
	b.addEvents(5)
	s := &scripted{answer: each(func(n int) outbox.Verdict {
		return []outbox.Verdict{accepted, refused, again, accepted, accepted}[n]
	})}
	result, err := b.flush(through(s))
	if delayOf(err).Code != again.Code {
		t.Errorf("the run ended with %v, want a delay: a message has to come again", err)
	}
	if want := (outbox.Result{Delivered: 3, Dead: 1}); result != want {
		t.Errorf("the run says %+v, want %+v", result, want)
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests, want one: a bad message does not hold up its neighbours", len(s.requests))
	}
	want := []outbox.State{outbox.Delivered, outbox.Dead, outbox.Pending, outbox.Delivered, outbox.Delivered}
	for i, m := range b.messages(outbox.Filter{}) {
		if m.State != want[i] {
			t.Errorf("message %d is %s, want %s", i, m.State, want[i])
		}
		if m.State == outbox.Dead && m.LastError != refused.Reason {
			t.Errorf("the dead message says %q, want the server's reason %q", m.LastError, refused.Reason)
		}
	}
	if f := b.schedule().Failures; f != 1 {
		t.Errorf("%d failures, want 1: what leaves a message pending makes the next run wait", f)
	}
}

func TestFailuresCountFromOneAfterARunThatDeliveredSomething(t *testing.T) {
	b := newBench(t)
	b.addEvents(2)
	s := always(again)
	for range 3 {
		b.flush(through(s))
		b.clock.Advance(time.Hour)
	}
	if f := b.schedule().Failures; f != 3 {
		t.Fatalf("%d failures after three runs, want 3", f)
	}
	s.answer = each(func(n int) outbox.Verdict { return []outbox.Verdict{accepted, again}[n] })
	b.flush(through(s))
	if f := b.schedule().Failures; f != 1 {
		t.Errorf("%d failures, want 1: the server answers again", f)
	}
}

func TestAnAliasEndsItsRequest(t *testing.T) {
	b := newBench(t)
	b.addEvents(2)
	b.add(b.alias("person"))
	b.addEvents(3)
	s := always(accepted)
	b.mustFlush(through(s))
	if want := []int{3, 3}; !slices.Equal(s.sizes(), want) {
		t.Errorf("requests of %v messages, want %v: else a retry of the alias lets its principal's events go first", s.sizes(), want)
	}
}

// stalls is a server that never answers to more than most messages, and a sink that gives it so much time.
func (b *bench) stalls(most int, time time.Duration) func(outbox.Request) outbox.Answer {
	return func(r outbox.Request) outbox.Answer {
		if len(r.Messages) > most {
			b.clock.Advance(time)
			return fewer(outbox.CodeTimeout)
		}
		return all(accepted)
	}
}

func TestTheBatchSizeFollowsWhatTheServerTakes(t *testing.T) {
	for name, test := range map[string]struct {
		waiting, takes int  // of the server, at once
		stalls         bool // on more; else it refuses
		encodes        int  // of the sink; 0: all
		known          string
		want           []int
	}{
		"a server that takes all":            {waiting: 8000, takes: 9000, want: []int{500, 1000, 2000, 2000, 2000, 500}},
		"a server that takes 300":            {waiting: 700, takes: 300, want: []int{500, 250, 450, 225, 225}},
		"a server that stalls on 101":        {waiting: 300, takes: 100, stalls: true, want: []int{300, 150, 75, 75, 75, 75}},
		"a server that has stalled":          {waiting: 150, takes: 9000, known: "last_code = 'timeout'", want: []int{50, 50, 50}},
		"a server that has refused":          {waiting: 150, takes: 9000, known: "last_code = 'server'", want: []int{50, 100}},
		"a sink that encodes fewer":          {waiting: 900, takes: 9000, encodes: 400, want: []int{400, 400, 100}},
		"what waits is less than the number": {waiting: 499, takes: 9000, want: []int{499}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(test.waiting)
			if test.known != "" {
				b.exec(`UPDATE delivery SET endpoint = '', batch_size = 50, failures = 1, ` + test.known)
			}
			s := &scripted{most: test.encodes, answer: func(r outbox.Request) outbox.Answer {
				if len(r.Messages) > test.takes {
					return fewer(outbox.CodeRefused)
				}
				return all(accepted)
			}}
			if test.stalls {
				s.answer = b.stalls(test.takes, 8*time.Second)
			}
			b.mustFlush(through(s))
			if !slices.Equal(s.sizes(), test.want) {
				t.Errorf("requests of %v messages, want %v: only a run that did not halve for a timeout grows", s.sizes(), test.want)
			}
		})
	}
}

func TestTheBatchSizeIsKeptForTheNextFlusherAndForItsEndpointAlone(t *testing.T) {
	b := newBench(t)
	b.addEvents(400)
	s := &scripted{endpoint: "here", answer: func(r outbox.Request) outbox.Answer {
		if len(r.Messages) > 100 {
			return fewer(outbox.CodeRefused)
		}
		return all(again)
	}}
	b.flush(through(s))
	b.clock.Advance(time.Hour)
	b.flush(through(s))
	if want := []int{400, 200, 100, 100}; !slices.Equal(s.sizes(), want) {
		t.Errorf("requests of %v messages, want %v: what one flusher found out the next one need not ask again", s.sizes(), want)
	}
	b.clock.Advance(time.Hour)
	elsewhere := always(again)
	elsewhere.endpoint = "elsewhere"
	b.flush(through(elsewhere))
	if want := []int{400}; !slices.Equal(elsewhere.sizes(), want) {
		t.Errorf("requests of %v messages to another server, want %v: nothing is known of it", elsewhere.sizes(), want)
	}
}

func TestAFlusherWhoseTimeATimeoutTookLeavesTheHalfToTheNextOne(t *testing.T) {
	b := newBench(t)
	b.addEvents(300)
	s := &scripted{}
	s.answer = b.stalls(100, 8*time.Second)
	for run, want := range [][]int{{300}, {300, 150}, {300, 150, 75, 75, 75, 75}} {
		ctx := newEnding(t, 4*time.Second) // less than a server must have had
		_, err := b.open(through(s)).Deliver(ctx, 0)
		if !slices.Equal(s.sizes(), want) {
			t.Errorf("after run %d: requests of %v messages, want %v", run+1, s.sizes(), want)
		}
		if silent := run < 2; silent && (err == nil || b.schedule().Failures != run+1 || b.schedule().LastCode != outbox.CodeTimeout) {
			t.Errorf("run %d ended with %v and left %+v, want a back-off: or each command would start a flusher to wait in vain",
				run+1, err, b.schedule())
		}
		b.clock.Advance(time.Hour)
	}
}

func TestAPersonIsToldThatTheTimeWasUpAndTheHalfGoesNext(t *testing.T) {
	b := newBench(t)
	b.addEvents(300)
	ctx := newEnding(t, 0)
	s := &scripted{answer: func(outbox.Request) outbox.Answer {
		ctx.end()
		b.clock.Advance(8 * time.Second)
		return fewer(outbox.CodeTimeout)
	}}
	if _, err := b.open(through(s)).Flush(ctx, outbox.FlushOptions{}); delayOf(err).Code != outbox.CodeTimeUp {
		t.Errorf("the run ended with %v, want the code %s", err, outbox.CodeTimeUp)
	}
	if n := b.one(`SELECT batch_size FROM delivery`); n != 150 {
		t.Errorf("the batch size is %d, want 150: the server had time for 300", n)
	}
}

func TestATimeoutThatHadNoFairTimeTeachesNothing(t *testing.T) {
	b := newBench(t)
	b.addEvents(10)
	if _, err := b.flush(through(&scripted{answer: b.stalls(0, 4*time.Second)})); err == nil {
		t.Error("the run says that all is delivered")
	}
	if n := b.one(`SELECT coalesce(batch_size, 500) FROM delivery`); n != 500 {
		t.Errorf("the batch size is %d, want it as it was: the server had no time", n)
	}
}

func TestATimeoutMakesNoMessageDead(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.exec(`UPDATE delivery SET batch_size = 1, endpoint = 'here', accepted_at = 1`)
	s := &scripted{endpoint: "here", answer: b.stalls(0, 8*time.Second)}
	for range 5 {
		b.flush(through(s))
		b.clock.Advance(time.Hour)
	}
	b.holds(outbox.Counts{Pending: 1}, "its line may be slow")
}

func TestASinksMemoIsKeptForAWeekAndForItsEndpointAlone(t *testing.T) {
	b := newBench(t)
	send := func(endpoint string, answer outbox.Answer) (memo string) {
		t.Helper()
		b.addEvents(1)
		s := &scripted{endpoint: endpoint, answer: func(outbox.Request) outbox.Answer { return answer }}
		b.flush(through(s))
		b.clock.Advance(time.Hour)
		return s.requests[0].Memo
	}
	remember := outbox.Answer{Verdict: accepted, Memo: "old protocol"}
	for _, step := range []struct {
		name, endpoint string
		later          time.Duration
		answer         outbox.Answer
		want           string
	}{
		{"nothing is known", "here", 0, outbox.Answer{Verdict: again, Memo: "old protocol"}, ""},
		{"what was not accepted is not remembered", "here", 0, remember, ""},
		{"an acceptance is", "here", 0, remember, "old protocol"},
		{"for days", "here", 6 * 24 * time.Hour, remember, "old protocol"},
		{"a week after it was new the server is asked anew", "here", 24 * time.Hour, remember, ""},
		{"another server has none", "elsewhere", 0, outbox.Answer{Verdict: accepted}, ""},
	} {
		b.clock.Advance(step.later)
		if got := send(step.endpoint, step.answer); got != step.want {
			t.Errorf("%s: the request's memo is %q, want %q", step.name, got, step.want)
		}
	}
}

// lying is a sink that encodes as a test says.
type lying struct {
	scripted
	n   int
	err error
}

func (l *lying) Encode([]outbox.Message) ([]byte, int, error) { return nil, l.n, l.err }

func TestASinkThatLiesIsAnErrorThatNamesItAndDeliversNothing(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	answering := func(a outbox.Answer) outbox.Sink {
		return &scripted{answer: func(outbox.Request) outbox.Answer { return a }}
	}
	whole := func(v outbox.Verdict) outbox.Sink { return answering(all(v)) }
	second := func(v outbox.Verdict) outbox.Sink {
		return answering(outbox.Answer{Each: []outbox.Verdict{accepted, v}})
	}
	encoding := func(n int) outbox.Sink { return &lying{n: n} }
	failing := func(err error) outbox.Sink { return &lying{err: err} }
	for name, sink := range map[string]outbox.Sink{
		"no outcome":                      whole(outbox.Verdict{}),
		"an outcome that is none":         whole(outbox.Verdict{Outcome: 99, Code: "x", Reason: "x"}),
		"a whole request that is refused": whole(refused),
		"no code":                         whole(outbox.Verdict{Outcome: outbox.Later, Reason: "x"}),
		"no reason":                       whole(outbox.Verdict{Outcome: outbox.Later, Code: "x"}),
		"10 kB of reason":                 whole(outbox.Verdict{Outcome: outbox.Later, Code: "x", Reason: long}),
		"too few verdicts":                answering(outbox.Answer{Each: []outbox.Verdict{accepted}}),
		"too many verdicts":               answering(outbox.Answer{Each: []outbox.Verdict{accepted, accepted, accepted}}),
		"none, but a list":                answering(outbox.Answer{Verdict: accepted, Each: []outbox.Verdict{}}),
		"a message with no outcome":       second(outbox.Verdict{}),
		"a message that is fewer":         second(outbox.Verdict{Outcome: outbox.Fewer, Code: "x", Reason: "x"}),
		"a death without a reason":        second(outbox.Verdict{Outcome: outbox.Refused, Code: "x"}),
		"a death with 10 kB of reason":    second(outbox.Verdict{Outcome: outbox.Refused, Code: "x", Reason: long}),

		"nothing encoded":                encoding(0),
		"more than it was given":         encoding(3),
		"fewer than nothing":             encoding(-1),
		"an error of no message":         failing(errors.New("/home/ada/secret")),
		"a message that is not there":    failing(&outbox.Unsendable{Index: 2, Reason: "x"}),
		"a message before the first one": failing(&outbox.Unsendable{Index: -1, Reason: "x"}),
		"a message for no reason":        failing(&outbox.Unsendable{Index: 0}),
		"a message for 10 kB of reason":  failing(&outbox.Unsendable{Index: 0, Reason: long}),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(2)
			_, err := b.flush(func(cfg *outbox.Config) { cfg.Sink = sink })
			if delayOf(err).Code != outbox.CodeSink || !strings.Contains(err.Error(), "outbox_test.") {
				t.Errorf("the run ended with %v, want an error that names the sink", err)
			}
			if err != nil && strings.Contains(err.Error(), "/home") {
				t.Errorf("the error is %q: what a sink says freely is not repeated", err)
			}
			b.holds(outbox.Counts{Pending: 2}, "nothing is delivered")
			if b.schedule().Failures != 1 {
				t.Error("no back-off is noted: each command would start a flusher in vain")
			}
		})
	}
}

func TestASinkThatChangesItsMessagesChangesNoneOfTheQueue(t *testing.T) {
	b := newBench(t)
	b.addEvents(3)
	sink := &scripted{answer: func(r outbox.Request) outbox.Answer {
		clear(r.Messages)
		return all(accepted)
	}}
	b.mustFlush(through(sink))
	b.holds(outbox.Counts{}, "the 3 that the sink was given are delivered")
}

func TestTimeThatIsUpIsNotASilentServer(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(time *ending, cancel context.CancelFunc)
		code string
	}{
		"the time of the run is over": {func(time *ending, _ context.CancelFunc) { time.end() }, outbox.CodeTimeUp},
		"the process is told to end":  {func(_ *ending, cancel context.CancelFunc) { cancel() }, outbox.CodeInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(1)
			time := newEnding(t, 0)
			ctx, cancel := context.WithCancel(time)
			defer cancel()
			s := &scripted{answer: func(outbox.Request) outbox.Answer {
				test.end(time, cancel)
				<-ctx.Done()
				return fewer(outbox.CodeTimeout)
			}}
			if _, err := b.open(through(s)).Deliver(ctx, 0); delayOf(err).Code != test.code {
				t.Errorf("the run ended with %v, want the code %s", err, test.code)
			}
			if got := b.schedule().Failures; got != 0 {
				t.Errorf("%d failures are noted, want none: the server had no chance", got)
			}
		})
	}
}

func TestWhatWasAnsweredIsSettledWhenTheTimeIsUp(t *testing.T) {
	b := newBench(t)
	b.addEvents(600)
	ctx, cancel := context.WithCancel(t.Context())
	s := &scripted{answer: func(outbox.Request) outbox.Answer { cancel(); return all(accepted) }}
	result, err := b.open(through(s)).Deliver(ctx, 0)
	if err == nil || result.Delivered != 500 || b.counts().Pending != 100 {
		t.Errorf("%+v, %v and %d pending; want the answered batch settled and the rest to wait", result, err, b.counts().Pending)
	}
}
