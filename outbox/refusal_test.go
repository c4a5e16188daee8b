package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// old makes the server a PostHog that has /batch/ only, which refuses all messages for one that is refused.
func (b *bench) old(isRefused func(outboxtest.Message) bool) {
	b.server.SetWithoutV1(true)
	b.server.SetResults(func(m outboxtest.Message) string {
		if isRefused(m) {
			return "drop:rejected"
		}
		return ""
	})
}

func everything(outboxtest.Message) bool { return true }

// proved makes the server one that has accepted something before, as one in use has.
func (b *bench) proved() {
	b.Helper()
	b.exec(`UPDATE delivery SET endpoint = ?, accepted_at = 1`, b.sink().Endpoint())
}

func TestWhatAProvenServerRefusesAloneIsDeadAndItsNeighboursArrive(t *testing.T) {
	for name, test := range map[string]struct {
		prepare    func(b *bench)
		neighbours int
	}{
		"it accepted something before": {func(b *bench) { b.proved() }, 19},
		"it did so in another process": {func(b *bench) { b.add(b.event(1000)); b.mustFlush() }, 20},
		"it accepts a neighbour now":   {func(b *bench) { b.add(b.event(1000)) }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 0)
			b.old(func(m outboxtest.Message) bool { return m.Properties()["n"] == 7.0 })
			test.prepare(b)
			b.addEvents(20)
			b.mustFlush()
			b.holds(outbox.Counts{Dead: 1}, "only the bad message is dead")
			b.arrived(test.neighbours, "a bad message does not hold them up")
		})
	}
}

// A proxy, a portal, a wrong address: any server can refuse.
func TestAServerThatHasNeverAcceptedAnythingCannotKill(t *testing.T) {
	b := newBench(t, 0)
	b.proved()
	b.server = outboxtest.Start(t) // another address: proof is kept for each endpoint
	b.addEvents(60)
	b.old(everything)
	_, err := b.flush()
	b.delayed(err, outbox.CodeForeign, 1)
	b.holds(outbox.Counts{Pending: 60}, "all wait")
	b.old(func(outboxtest.Message) bool { return false })
	b.clock.Advance(time.Hour)
	b.mustFlush()
	b.arrived(60, "the right server is back")
}

func TestAMessageThatIsRefusedAloneAgainAndAgainIsSetAside(t *testing.T) {
	for _, test := range []struct {
		pause time.Duration // between runs
		runs  int           // that refuse it
		dead  int
		why   string
	}{
		{31 * time.Minute, 2, 0, "two runs are few"},
		{31 * time.Minute, 3, 1, "it is out of the others' way after three runs in an hour"},
		{10 * time.Minute, 5, 0, "a proxy that is broken for less than an hour must not cost messages"},
	} {
		t.Run(fmt.Sprintf("%d runs, one every %s", test.runs, test.pause), func(t *testing.T) {
			b := newBench(t, 1)
			b.old(everything)
			for range test.runs {
				b.flush()
				b.clock.Advance(test.pause)
			}
			b.holds(outbox.Counts{Pending: 1 - test.dead, Dead: test.dead}, test.why)
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
