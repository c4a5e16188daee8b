package outboxtest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestRequestsThatOverlapAreReported(t *testing.T) {
	t.Parallel()
	s := outboxtest.Start(t)
	pause := s.PauseNext(outboxtest.BeforeAnswer)
	var first sync.WaitGroup
	first.Go(func() { send(s, client(0), batch(event(1, "ada", noon))) })
	<-pause.Reached()
	post(t, s, event(2, "ada", noon))
	pause.Release()
	first.Wait()
	wantViolations(t, s, "request 2 began while request 1 was still being served")
}

func TestAnAnswerThatComesWhileTheNextRequestIsHeldBackIsAnOverlapToo(t *testing.T) {
	t.Parallel()
	s := outboxtest.Start(t)
	pause := s.PauseNext(outboxtest.BeforeAnswer)
	var clients sync.WaitGroup
	clients.Go(func() { send(s, client(0), batch(event(1, "ada", noon))) })
	<-pause.Reached()
	clients.Go(func() { send(s, client(0), batch(event(2, "ada", noon))) })
	if err := s.Await(soon(t), func() bool { return len(s.Requests()) == 2 }); err != nil {
		t.Fatal(err)
	}
	pause.Release()
	clients.Wait()
	wantViolations(t, s, "request 2 began while request 1 was still being served")
}

func TestRequestsOneAfterTheOtherNeverOverlap(t *testing.T) {
	for _, fault := range []string{"ok", "drip:every=1ms", "short-body", "close", "reset-after-body", "reset-in-body", "503"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			s.SetFault(outboxtest.MustFault(fault))
			kept := client(patient)
			kept.Transport = &http.Transport{} // keeps its connection, so the next request comes at once
			defer kept.CloseIdleConnections()
			for n := range 50 {
				send(s, kept, batch(event(n, "ada", noon)))
			}
			wantViolations(t, s)
		})
	}
}

func TestAClientThatGivesUpAndTriesAgainDoesNotOverlapItself(t *testing.T) {
	t.Parallel()
	s := outboxtest.Start(t)
	s.SetFault(outboxtest.MustFault("hang"))
	impatient := client(20 * time.Millisecond)
	for n := range 20 {
		if a := send(s, impatient, batch(event(n, "ada", noon))); a.err == nil || !strings.Contains(a.err.Error(), "Timeout") {
			t.Fatalf("a server that hangs answered %d, %v", a.status, a.err)
		}
	}
	wantViolations(t, s)
}
