//go:build unix

package main

import (
	"testing"
	"time"
)

// A flusher that dies while one batch is under way and the next one is ready leaves nothing half
// done: what it had not settled is sent again, as the same bytes, and nothing has overtaken it.
func TestTortureKillBetweenTwoBatches(t *testing.T) {
	const backlog = 1600 // four batches; from the second one on the next is made ready meanwhile
	for _, point := range []string{"claimed", "before-request", "after-request", "answered", "settled"} {
		for _, batch := range []string{"2", "3"} {
			t.Run(point+" of batch "+batch, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.with("ARCADE_USAGE_KEY=").must("succeed")
				m.recordInBulk(backlog, 10)
				m.with(testKillAt+"="+point+"#"+batch).run("usage", "flush", "--detached")
				if n := m.pending(); n == 0 {
					t.Fatal("everything was settled: the flusher was not killed")
				}
				m.must("usage", "flush", "--timeout", "60s")
				m.awaitEvents(backlog+1, 10*time.Second)
				if n := len(m.posthog.Events()); n != backlog+1 {
					t.Errorf("PostHog has %d events, want each of the %d once", n, backlog+1)
				}
				m.noViolations()
			})
		}
	}
}
