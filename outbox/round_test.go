package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

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

func TestTheBatchSizeFollowsWhatTheServerTakes(t *testing.T) {
	for name, test := range map[string]struct {
		waiting, takes int           // of the server, at once
		stalls         time.Duration // on more; else it refuses
		encodes        int           // at most, of the sink; 0: all
		isSlow         bool          // the server: it accepts in a little more than two seconds
		known          string
		want           []int
	}{
		"a server that takes all":            {waiting: 8000, takes: 9000, want: []int{500, 1000, 2000, 2000, 2000, 500}},
		"a server that takes 300":            {waiting: 700, takes: 300, want: []int{500, 250, 450, 225, 225}},
		"a server that stalls on 101":        {waiting: 300, takes: 100, stalls: 8 * time.Second, want: []int{300, 150, 75, 75, 75, 75}},
		"a server that has stalled":          {waiting: 150, takes: 9000, known: "last_code = 'timeout'", want: []int{50, 50, 50}},
		"a server that has refused":          {waiting: 150, takes: 9000, known: "last_code = 'server'", want: []int{50, 100}},
		"a sink that encodes fewer":          {waiting: 900, takes: 9000, encodes: 400, want: []int{400, 400, 100}},
		"a server that is slow":              {waiting: 1200, takes: 9000, isSlow: true, want: []int{500, 500, 200}},
		"what waits is less than the number": {waiting: 499, takes: 9000, want: []int{499}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, test.waiting)
			if test.known != "" {
				b.exec(`UPDATE delivery SET endpoint = 'here', batch_size = 50, failures = 1, ` + test.known)
			}
			s := b.takes(test.takes, test.stalls)
			if soon := s.answer; test.isSlow {
				s.answer = func(r outbox.Request) outbox.Answer { b.clock.Advance(2001 * time.Millisecond); return soon(r) }
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
	s := b.takes(100, 8*time.Second)
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
			s := b.takes(0, test.took)
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
		b.addEvents(1)
		s := answering(step.answer)
		s.endpoint = step.endpoint
		b.flush(through(s))
		b.clock.Advance(time.Hour)
		if got := s.requests[0].Memo; got != step.want {
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
		ends   error
		took   time.Duration
		code   string
		size   int
	}{
		"the time of the run is over": {ends: context.DeadlineExceeded, code: outbox.CodeTimeUp, size: 500},
		"the process is told to end":  {ends: context.Canceled, code: outbox.CodeInterrupted, size: 500},
		"a person's time is over, of which enough was waited": {
			byHand: true, ends: context.DeadlineExceeded, took: 8 * time.Second, code: outbox.CodeTimeUp, size: 150},
	} {
		t.Run(name, func(t *testing.T) {
			b, ctx := newBench(t, 300), newEnding(t, 0)
			box := b.open(through(&scripted{answer: func(outbox.Request) outbox.Answer {
				ctx.end(test.ends)
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

func TestWhatAProvenServerRefusesAloneIsDeadAndItsNeighboursArrive(t *testing.T) {
	for name, hasAccepted := range map[string]bool{"it did accept something in another process": true, "it accepts a neighbour now": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			b.old(func(m outboxtest.Message) bool { return m.Properties()["n"] == 7.0 })
			if hasAccepted {
				b.mustFlush()
			}
			b.addEvents(20)
			b.mustFlush()
			b.holds(outbox.Counts{Dead: 1}, "only the bad message is dead")
			b.arrived(20, "a bad message does not hold its neighbours up")
		})
	}
}

func TestAServerProvesInItsRefusalWhatItIs(t *testing.T) {
	b := newBench(t, 1)
	answer := fewer(outbox.CodeRefused)
	answer.Proven = true
	b.mustFlush(through(answering(answer)))
	b.holds(outbox.Counts{Dead: 1}, "it has refused the message alone")
}

// A proxy, a portal, a wrong address: any server can refuse. Two runs are few, and what is broken for less than an hour must not cost
// messages; then one that is refused alone is out of the others' way.
func TestAServerThatHasNeverAcceptedAnythingKillsOnlyWhatItRefusesAloneAgainAndAgain(t *testing.T) {
	for _, test := range []struct {
		pause time.Duration // between runs
		runs  int           // that refuse it
		dead  int
	}{{61 * time.Minute, 2, 0}, {31 * time.Minute, 3, 1}, {10 * time.Minute, 5, 0}} {
		t.Run(fmt.Sprintf("%d runs, one every %s", test.runs, test.pause), func(t *testing.T) {
			b := newBench(t, 1)
			b.mustFlush()
			b.server = outboxtest.Start(t) // another address: proof is kept for each endpoint
			b.addEvents(60)
			b.old(func(outboxtest.Message) bool { return true })
			for run := range test.runs {
				_, err := b.flush()
				b.delayed(err, outbox.CodeForeign, run+1)
				b.clock.Advance(test.pause)
			}
			b.holds(outbox.Counts{Pending: 60 - test.dead, Dead: test.dead}, "all others wait")
			b.old(func(outboxtest.Message) bool { return false })
			b.mustFlush()
			b.arrived(60-test.dead, "the right server is back")
		})
	}
}

// Which one it is shows by smaller requests, and that it is not the whole sink's trouble by the time that passes.
func TestAMessageThatMakesTheEncoderFailDoesNotBlockTheOthersForEver(t *testing.T) {
	b := newBench(t, 8)
	sink := always(accepted)
	sink.encode = func(messages []outbox.Message) (int, error) {
		if slices.ContainsFunc(messages, func(m outbox.Message) bool { return m.Seq == 6 }) {
			return 0, errors.New("a fault of the encoder")
		}
		return len(messages), nil
	}
	for run, want := range []outbox.Counts{{Pending: 3, Delivered: 5}, {Pending: 3, Delivered: 5}, {Delivered: 7, Dead: 1}} {
		_, err := b.flush(through(sink))
		if got := b.counts(); got != want {
			t.Errorf("after run %d: %+v (%v), want %+v", run+1, got, err, want)
		}
		b.clock.Advance(31 * time.Minute)
	}
	const reason = "the sink *outbox_test.scripted cannot encode a message and does not say which one and why"
	if dead := b.messages()[5]; dead.State != outbox.Dead || dead.LastError != reason {
		t.Errorf("the sixth message is %+v, want it dead with the reason %q", dead, reason)
	}
}
