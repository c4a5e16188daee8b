package outbox_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// old makes the server a PostHog that has /batch/ only, which refuses all for one.
func (b *bench) old() { b.server.SetWithoutV1(true) }

// refuseAll makes the server refuse everything, as a proxy does that stands in PostHog's place.
func (b *bench) refuseAll() {
	b.old()
	b.server.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
}

// refuse makes the server refuse the n-th event.
func (b *bench) refuse(n float64, tag string) {
	b.server.SetResults(func(m outboxtest.Message) string {
		if m.Properties()["n"] == n {
			return "drop:" + tag
		}
		return ""
	})
}

func TestAServerThatHasNeverAcceptedAnythingCannotKill(t *testing.T) {
	b := newBench(t)
	b.addEvents(60)
	b.refuseAll()
	_, err := b.flush()
	var delay *outbox.Delay
	if !errors.As(err, &delay) || delay.Code != outbox.CodeForeign {
		t.Errorf("the run ended with %v, want a delay that says that the server is somebody else", err)
	}
	if c := b.counts(); c.Dead != 0 || c.Pending != 60 {
		t.Errorf("%d dead and %d pending, want all 60 to wait: anybody can refuse", c.Dead, c.Pending)
	}
	if s := b.schedule(); s.Failures != 1 || s.Next(b.clock.Now()).IsZero() {
		t.Errorf("the schedule is %+v, want a back-off", s)
	}
	b.server.SetResults(func(outboxtest.Message) string { return "" })
	b.clock.Advance(time.Hour)
	b.mustFlush()
	if n := len(b.server.Events()); n != 60 {
		t.Errorf("%d of 60 arrived when the right server was back", n)
	}
}

func TestWhatAProvenServerRefusesAloneIsDeadAndItsNeighboursArrive(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"it accepted something before": func(b *bench) { b.proved() },
		"it did so in another process": func(b *bench) { b.add(b.event(1000)); b.mustFlush() },
		"it accepts a neighbour now":   func(b *bench) { b.add(b.event(1000)) },
	} {
		for _, tag := range []string{"rejected", "event_too_big"} {
			t.Run(fmt.Sprintf("%s, %s", name, tag), func(t *testing.T) {
				b := newBench(t)
				b.old()
				prepare(b)
				b.addEvents(20)
				b.refuse(7, tag)
				b.mustFlush()
				if c := b.counts(); c.Dead != 1 || c.Pending != 0 {
					t.Errorf("%d dead and %d pending, want the one bad message dead", c.Dead, c.Pending)
				}
				if n := len(b.server.Events()); n < 19 {
					t.Errorf("%d neighbours arrived, want all", n)
				}
				b.noViolations()
			})
		}
	}
}

func TestProofIsKeptForEachEndpoint(t *testing.T) {
	b := newBench(t)
	b.proved()
	b.server = outboxtest.Start(t) // another address
	b.addEvents(3)
	b.refuseAll()
	if _, err := b.flush(); err == nil {
		t.Error("an endpoint counts as proven because another one is")
	}
	if c := b.counts(); c.Dead != 0 {
		t.Errorf("%d messages are dead by a server that has accepted nothing", c.Dead)
	}
}

func TestAMessageThatIsRefusedAloneAgainAndAgainIsSetAside(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.refuseAll()
	for range 2 {
		b.flush()
		b.clock.Advance(31 * time.Minute)
	}
	if c := b.counts(); c.Dead != 0 {
		t.Fatalf("dead after two runs")
	}
	b.flush()
	if c := b.counts(); c.Dead != 1 || c.Pending != 0 {
		t.Errorf("%d dead and %d pending after three runs in an hour, want it out of the others' way", c.Dead, c.Pending)
	}
}

func TestRefusalsInAShortTimeDoNotSetAside(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.refuseAll()
	for range 5 {
		b.flush()
		b.clock.Advance(10 * time.Minute)
	}
	if c := b.counts(); c.Dead != 0 {
		t.Errorf("dead within an hour: a broken proxy must not cost messages")
	}
}

func TestNoEventOfAPrincipalGoesBeforeItsAliasWhichIsRefusedWithoutProof(t *testing.T) {
	b := newBench(t)
	b.add(b.alias())
	m := b.event(1)
	m.DistinctID = "person"
	b.add(m)
	b.old()
	b.server.SetResults(func(m outboxtest.Message) string {
		if m.IsAlias() {
			return "drop:rejected"
		}
		return ""
	})
	if _, err := b.flush(); err == nil {
		t.Error("the run says that all is delivered")
	}
	if n := len(b.server.Events()); n != 0 {
		t.Errorf("%d events went before the alias of their principal", n)
	}
}

func TestAPageIsNobodysRefusal(t *testing.T) {
	b := newBench(t)
	b.proved()
	b.addEvents(60)
	b.old()
	b.server.SetFault(outboxtest.MustFault("page-400"))
	if _, err := b.flush(); err == nil {
		t.Error("the run says that all is delivered")
	}
	if c := b.counts(); c.Dead != 0 || c.Pending != 60 {
		t.Errorf("%d dead and %d pending, want all to wait", c.Dead, c.Pending)
	}
	for _, m := range b.messages(outbox.Filter{}) {
		if m.Attempts != 0 {
			t.Fatalf("message %d has an attempt used up by a page", m.Seq)
		}
	}
}
