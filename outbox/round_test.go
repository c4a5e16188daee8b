package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// scripted is a sink whose answers a test gives. Its body is never looked at.
type scripted struct {
	endpoint string
	answer   func(r outbox.Request) outbox.Answer
	encode   func(messages []outbox.Message) (n int, err error) // nil: all of them
	requests []outbox.Request
}

func (s *scripted) Endpoint() string                               { return s.endpoint }
func (s *scripted) Check() error                                   { return nil }
func (s *scripted) Wire(m outbox.Message) (json.RawMessage, error) { return m.Properties, nil }

func (s *scripted) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	if s.encode == nil {
		return nil, len(messages), nil
	}
	n, err = s.encode(messages)
	return nil, n, err
}

func (s *scripted) Send(_ context.Context, r outbox.Request) outbox.Answer {
	s.requests = append(s.requests, r)
	return s.answer(r)
}

// carried fails the test unless the requests had so many messages each.
func (s *scripted) carried(t testing.TB, why string, want ...int) {
	t.Helper()
	var sizes []int
	for _, r := range s.requests {
		sizes = append(sizes, len(r.Messages))
	}
	if !slices.Equal(sizes, want) {
		t.Errorf("requests of %v messages, want %v: %s", sizes, want, why)
	}
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

// each answers with one verdict for each message, by its place in the queue.
func each(verdict func(n int64) outbox.Verdict) func(outbox.Request) outbox.Answer {
	return func(r outbox.Request) (a outbox.Answer) {
		for _, m := range r.Messages {
			a.Each = append(a.Each, verdict(m.Seq-1))
		}
		return a
	}
}

func answering(a outbox.Answer) *scripted {
	return &scripted{endpoint: "here", answer: func(outbox.Request) outbox.Answer { return a }}
}

// always answers so to each request.
func always(v outbox.Verdict) *scripted { return answering(all(v)) }

// refusing refuses each message for itself.
func refusing() *scripted {
	return &scripted{answer: each(func(int64) outbox.Verdict { return refused })}
}

// through makes the outbox send through s.
func through(s *scripted) func(*outbox.Config) { return func(cfg *outbox.Config) { cfg.Sink = s } }

func TestEachMessageHasAReceiptOfItsOwn(t *testing.T) {
	b := newBench(t, 5)
	s := &scripted{answer: each(func(n int64) outbox.Verdict {
		return []outbox.Verdict{accepted, refused, again, accepted, accepted}[n]
	})}
	result, err := b.flush(through(s))
	b.delayed(err, again.Code, 1) // a message has to come again
	if want := (outbox.Result{Delivered: 3, Dead: 1}); result != want {
		t.Errorf("the run says %+v, want %+v", result, want)
	}
	s.carried(t, "a bad message does not hold up its neighbours", 5)
	want := []outbox.State{outbox.Delivered, outbox.Dead, outbox.Pending, outbox.Delivered, outbox.Delivered}
	for i, m := range b.messages() {
		if m.State != want[i] || m.State == outbox.Dead && m.LastError != refused.Reason {
			t.Errorf("message %d is %s, %q; want %s, and of a dead one the server's reason", i, m.State, m.LastError, want[i])
		}
	}
}

func TestAnAliasEndsItsRequestAndTheRunUnlessItIsAccepted(t *testing.T) {
	b := newBench(t, 2)
	b.add(b.alias("person"))
	b.addEvents(3)
	s := &scripted{}
	s.answer = each(func(n int64) outbox.Verdict {
		if n == 2 && len(s.requests) == 1 { // the alias
			return again
		}
		return accepted
	})
	_, err := b.flush(through(s))
	b.delayed(err, again.Code, 1)
	b.clock.Advance(time.Hour)
	b.mustFlush(through(s))
	s.carried(t, "else its principal's events go first", 3, 1, 3)
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
		encodes        int  // at most, of the sink; 0: all
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
			b := newBench(t, test.waiting)
			if test.known != "" {
				b.exec(`UPDATE delivery SET endpoint = '', batch_size = 50, failures = 1, ` + test.known)
			}
			s := &scripted{answer: func(r outbox.Request) outbox.Answer {
				if len(r.Messages) > test.takes {
					return fewer(outbox.CodeRefused)
				}
				return all(accepted)
			}}
			if test.stalls {
				s.answer = b.stalls(test.takes, 8*time.Second)
			}
			if test.encodes > 0 {
				s.encode = func(messages []outbox.Message) (int, error) { return min(test.encodes, len(messages)), nil }
			}
			b.mustFlush(through(s))
			s.carried(t, "only a run that did not halve for a timeout grows", test.want...)
		})
	}
}

func TestTheBatchSizeIsKeptForTheNextFlusherAndForItsEndpointAlone(t *testing.T) {
	b := newBench(t, 400)
	s := &scripted{endpoint: "here", answer: func(r outbox.Request) outbox.Answer {
		if len(r.Messages) > 100 {
			return fewer(outbox.CodeRefused)
		}
		return all(again)
	}}
	b.flush(through(s))
	b.clock.Advance(time.Hour)
	b.flush(through(s))
	s.carried(t, "what one flusher found out the next one need not ask again", 400, 200, 100, 100)
	b.clock.Advance(time.Hour)
	elsewhere := always(again)
	elsewhere.endpoint = "elsewhere"
	b.flush(through(elsewhere))
	elsewhere.carried(t, "nothing is known of this server", 400)
}

func TestAFlusherWhoseTimeATimeoutTookLeavesTheHalfToTheNextOne(t *testing.T) {
	b := newBench(t, 300)
	s := &scripted{answer: b.stalls(100, 8*time.Second)}
	deliver := func() error {
		b.clock.Advance(time.Hour)
		_, err := b.open(through(s)).Deliver(newEnding(t, 4*time.Second), 0) // less than a server must have had
		return err
	}
	b.delayed(deliver(), outbox.CodeTimeout, 1) // or each command would start a flusher to wait in vain
	b.delayed(deliver(), outbox.CodeTimeout, 2)
	b.must(deliver())
	s.carried(t, "each run tries half", 300, 150, 75, 75, 75, 75)
}

// sized fails the test unless the next request may carry so many messages.
func (b *bench) sized(want int) {
	b.Helper()
	if n := b.one(`SELECT coalesce(batch_size, 500) FROM delivery`); n != want {
		b.Errorf("the batch size is %d, want %d: half only where the server had time", n, want)
	}
}

func TestATimeoutTeachesOnlyAfterAFairTimeAndMakesNoMessageDead(t *testing.T) {
	for name, test := range map[string]struct {
		waiting, runs int
		took          time.Duration
		size          int
	}{
		"a server that had no time": {10, 1, 4 * time.Second, 500},
		"one that had it":           {10, 1, 8 * time.Second, 1},
		"one message alone":         {1, 5, 8 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, test.waiting)
			b.exec(`UPDATE delivery SET endpoint = 'here', accepted_at = 1`)
			s := &scripted{endpoint: "here", answer: b.stalls(0, test.took)}
			for run := range test.runs {
				_, err := b.flush(through(s))
				b.delayed(err, outbox.CodeTimeout, run+1)
				b.clock.Advance(time.Hour)
			}
			b.sized(test.size)
			b.holds(outbox.Counts{Pending: test.waiting}, "the server's line may be slow")
		})
	}
}

func TestASinksMemoIsKeptForAWeekAndForItsEndpointAlone(t *testing.T) {
	b := newBench(t, 0)
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

func TestASinkThatLiesIsAnErrorThatNamesItAndDeliversNothing(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	second := func(v outbox.Verdict) *scripted { return answering(outbox.Answer{Each: []outbox.Verdict{accepted, v}}) }
	encoding := func(n int, err error) *scripted {
		return &scripted{encode: func([]outbox.Message) (int, error) { return n, err }}
	}
	bad := func(index int, reason string) *scripted {
		return encoding(0, &outbox.Unsendable{Index: index, Reason: reason})
	}
	for name, sink := range map[string]*scripted{
		"no outcome":                      always(outbox.Verdict{}),
		"an outcome that is none":         always(outbox.Verdict{Outcome: 99, Code: "x", Reason: "x"}),
		"a whole request that is refused": always(refused),
		"no code":                         always(outbox.Verdict{Outcome: outbox.Later, Reason: "x"}),
		"no reason":                       always(outbox.Verdict{Outcome: outbox.Later, Code: "x"}),
		"10 kB of reason":                 always(outbox.Verdict{Outcome: outbox.Later, Code: "x", Reason: long}),
		"too few verdicts":                answering(outbox.Answer{Each: []outbox.Verdict{accepted}}),
		"too many verdicts":               answering(outbox.Answer{Each: []outbox.Verdict{accepted, accepted, accepted}}),
		"none, but a list":                answering(outbox.Answer{Verdict: accepted, Each: []outbox.Verdict{}}),
		"a message with no outcome":       second(outbox.Verdict{}),
		"a message that is fewer":         second(outbox.Verdict{Outcome: outbox.Fewer, Code: "x", Reason: "x"}),
		"a death without a reason":        second(outbox.Verdict{Outcome: outbox.Refused, Code: "x"}),
		"a death with 10 kB of reason":    second(outbox.Verdict{Outcome: outbox.Refused, Code: "x", Reason: long}),

		"nothing encoded":                encoding(0, nil),
		"more than it was given":         encoding(3, nil),
		"fewer than nothing":             encoding(-1, nil),
		"an error of no message":         encoding(0, errors.New("/home/ada/secret")),
		"a message that is not there":    bad(2, "x"),
		"a message before the first one": bad(-1, "x"),
		"a message for no reason":        bad(0, ""),
		"a message for 10 kB of reason":  bad(0, long),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 2)
			_, err := b.flush(through(sink))
			b.delayed(err, outbox.CodeSink, 1) // without a back-off each command would start a flusher in vain
			if text := fmt.Sprint(err); !strings.Contains(text, "outbox_test.") || strings.Contains(text, "/home") {
				t.Errorf("the run ended with %q, want the sink named, and nothing that it says freely", text)
			}
			b.holds(outbox.Counts{Pending: 2}, "nothing is delivered")
		})
	}
}

func TestASinkThatChangesItsMessagesChangesNoneOfTheQueue(t *testing.T) {
	b := newBench(t, 3)
	sink := &scripted{answer: func(r outbox.Request) outbox.Answer {
		clear(r.Messages)
		return all(accepted)
	}}
	b.mustFlush(through(sink))
	b.holds(outbox.Counts{}, "the 3 that the sink was given are delivered")
}

func TestTimeThatIsUpIsNotASilentServer(t *testing.T) {
	for name, test := range map[string]struct {
		byHand bool
		isTold bool // to end; else its time is over
		took   time.Duration
		code   string
		size   int
	}{
		"the time of the run is over": {code: outbox.CodeTimeUp, size: 500},
		"the process is told to end":  {isTold: true, code: outbox.CodeInterrupted, size: 500},
		"a person's time is over, of which enough was waited": {
			byHand: true, took: 8 * time.Second, code: outbox.CodeTimeUp, size: 150},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 300)
			limit := newEnding(t, 0)
			ctx, cancel := context.WithCancel(limit)
			defer cancel()
			box := b.open(through(&scripted{answer: func(outbox.Request) outbox.Answer {
				if test.isTold {
					cancel()
				} else {
					limit.end()
				}
				<-ctx.Done()
				b.clock.Advance(test.took)
				return fewer(outbox.CodeTimeout)
			}}))
			var err error
			if test.byHand {
				_, err = box.Flush(ctx, outbox.FlushOptions{})
			} else {
				_, err = box.Deliver(ctx, 0)
			}
			b.delayed(err, test.code, 0) // the server had no chance
			b.sized(test.size)
		})
	}
}

func TestWhatWasAnsweredIsSettledWhenTheTimeIsUp(t *testing.T) {
	b := newBench(t, 600)
	ctx, cancel := context.WithCancel(t.Context())
	s := &scripted{answer: func(outbox.Request) outbox.Answer { cancel(); return all(accepted) }}
	result, err := b.open(through(s)).Deliver(ctx, 0)
	if err == nil || result.Delivered != 500 || b.counts().Pending != 100 {
		t.Errorf("%+v, %v and %d pending; want the answered batch settled and the rest to wait", result, err, b.counts().Pending)
	}
	if b.one(`SELECT housekept_at IS NOT NULL FROM delivery`) == 0 {
		t.Error("no housekeeping: where the time is always up the database would grow for ever")
	}
}

func TestAnEndBeforeTheFirstRequestIsNoFault(t *testing.T) {
	b := newBench(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	b.once("flushing", cancel)
	_, err := b.box.Deliver(ctx, 0)
	b.delayed(err, outbox.CodeInterrupted, 0)
}
