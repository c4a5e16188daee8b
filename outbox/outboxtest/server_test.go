package outboxtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestRepeatsAreFoldedByUUIDEventIDAndDay(t *testing.T) {
	base := event(1, "ada", noon)
	for _, test := range []struct {
		name   string
		second string
		events int
	}{
		{"the same bytes", base, 1},
		{"another time of the same day", event(1, "ada", "2026-11-23T23:59:59.999Z"), 1},
		{"another property", strings.Replace(base, "whoami", "login", 1), 1},
		{"the uuid in capitals", strings.Replace(base, id(1), strings.ToUpper(id(1)), 1), 1},
		{"another day", event(1, "ada", "2026-11-24T00:00:00Z"), 2},
		{"another distinct id", event(1, "bob", noon), 2},
		{"another event", strings.Replace(base, "succeeded", "failed", 1), 2},
		{"another uuid", event(2, "ada", noon), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := outboxtest.Start(t)
			post(t, s, base, test.second)
			if got := len(s.Events()); got != test.events {
				t.Errorf("%d events, want %d", got, test.events)
			}
			if commits := s.Commits(); len(commits) != 2 || commits[0].Repeat || commits[1].Repeat != (test.events == 1) {
				t.Errorf("the log is %+v, want both with the second marked as a repeat only when it is folded", commits)
			}
		})
	}
}

func TestARepeatOfARepeatIsFoldedIntoWhicheverItMatches(t *testing.T) {
	s := outboxtest.Start(t)
	const tomorrow = "2026-11-24T12:00:00Z"
	post(t, s, event(1, "ada", noon), event(1, "ada", tomorrow), event(1, "ada", tomorrow), event(1, "ada", noon))
	wantUUIDs(t, "events", s.Events(), 1, 1)
}

func TestTheLogKeepsTheOrderOfEveryone(t *testing.T) {
	s := outboxtest.Start(t)
	post(t, s, event(1, "ada", noon), event(2, "bob", noon), event(3, "ada", early))
	post(t, s, event(4, "ada", noon), event(1, "ada", noon))
	wantUUIDs(t, "commits", s.Commits(), 1, 2, 3, 4, 1)
	wantUUIDs(t, "events", s.Events(), 1, 2, 3, 4)
}

func TestPoison(t *testing.T) {
	for _, test := range []struct {
		status int
		kept   []int
	}{
		{400, nil},
		{413, []int{1}}, // PostHog has kept what came before
	} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			s := outboxtest.Start(t)
			s.SetPoison(func(m outboxtest.Message) int {
				if m.UUID == id(2) {
					return test.status
				}
				return 0
			})
			a := send(s, client(patient), batch(event(1, "ada", noon), event(2, "ada", noon), event(3, "ada", noon)))
			if a.status != test.status || !strings.Contains(a.body, "message 2") {
				t.Errorf("answered %d %q, want %d for message 2", a.status, a.body, test.status)
			}
			wantUUIDs(t, "kept", s.Commits(), test.kept...)
			if got := s.Requests()[0]; got.Committed != len(test.kept) || got.Events != 3 {
				t.Errorf("the log of requests says %d of %d, want %d of 3", got.Committed, got.Events, len(test.kept))
			}
		})
	}
}

func TestTheLogOfRequestsSaysWhatHappened(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetFaults(outboxtest.MustFault("commit+503"))
	body := gzipped(batch(event(1, "ada", noon), event(2, "ada", noon)))
	send(s, client(patient), body)
	got := s.Requests()[0]
	if got.Begun.IsZero() || got.Ended.Before(got.Begun) {
		t.Errorf("the request lasted from %v to %v", got.Begun, got.Ended)
	}
	got.Begun, got.Ended = time.Time{}, time.Time{}
	want := outboxtest.Request{
		Number: 1, Method: "POST", Host: strings.TrimPrefix(s.URL(), "http://"), Path: "/batch/", Token: token,
		Bytes: len(body), Gzip: true, Events: 2, Committed: 2,
		Fault: outboxtest.Fault{Mode: "503", Commit: true}, Status: 503,
	}
	if got != want {
		t.Errorf("the log says %+v\nwant %+v", got, want)
	}
}

func TestABodyThatBreaksOffKeepsNothing(t *testing.T) {
	s := outboxtest.Start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST /batch/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", batch(event(1, "ada", noon))); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.Await(soon(t), func() bool { r := s.Requests(); return len(r) == 1 && !r[0].Ended.IsZero() })
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[0]; got.Status != 0 || !strings.Contains(got.Refusal, "broke off") || len(s.Commits()) != 0 {
		t.Errorf("the log says %+v, want no answer, a reason and nothing kept", got)
	}
}

func TestLatencyComesAfterTheCommit(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetLatency(50 * time.Millisecond)
	begun := time.Now()
	post(t, s, event(1, "ada", noon))
	if took := time.Since(begun); took < 50*time.Millisecond {
		t.Errorf("answered after %v, want at least 50ms", took)
	}
	s.SetLatency(time.Hour)
	if a := send(s, client(50*time.Millisecond), batch(event(2, "ada", noon))); a.err == nil {
		t.Errorf("answered %d within 50ms of an hour", a.status)
	}
	wantUUIDs(t, "kept", s.Commits(), 1, 2)
}

func TestARequestCanBeHeldAtEachPoint(t *testing.T) {
	for _, test := range []struct {
		at   outboxtest.Point
		kept int
	}{{outboxtest.AfterRead, 0}, {outboxtest.AfterCommit, 1}, {outboxtest.BeforeAnswer, 1}} {
		t.Run(string(test.at), func(t *testing.T) {
			s := outboxtest.Start(t)
			pause := s.PauseNext(test.at)
			ctx, kill := context.WithCancel(soon(t))
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/batch/", strings.NewReader(batch(event(1, "ada", noon))))
			if err != nil {
				t.Fatal(err)
			}
			gone := make(chan error)
			go func() {
				_, err := client(0).Do(request)
				gone <- err
			}()
			reached := <-pause.Reached()
			if reached.Number != 1 || len(s.Commits()) != test.kept {
				t.Errorf("request %d waits with %d messages kept, want request 1 with %d", reached.Number, len(s.Commits()), test.kept)
			}
			kill()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("the client left with %v before its answer, want that it was killed", err)
			}
			post(t, s, event(2, "ada", noon)) // the next request is not held, and does not overlap with a dead client's
			pause.Release()
			pause.Release()
			if err := s.Await(soon(t), func() bool { return !s.Requests()[0].Ended.IsZero() }); err != nil {
				t.Fatal(err)
			}
			if got := len(s.Events()); got != 2 {
				t.Errorf("%d events, want 2: a body that was read is kept even when its client was killed", got)
			}
			wantViolations(t, s)
		})
	}
}

func TestCloseLetsGoOfWhatHangsAndPauses(t *testing.T) {
	t.Parallel()
	s := outboxtest.Start(t)
	s.SetFaults(outboxtest.MustFault("hang"))
	s.PauseNext(outboxtest.BeforeAnswer) // for the first one, which then hangs
	held := s.PauseNext(outboxtest.AfterCommit)
	var clients sync.WaitGroup
	for n := range 2 {
		clients.Go(func() { send(s, client(0), batch(event(n, "ada", noon))) })
	}
	<-held.Reached()
	if err := s.Await(soon(t), func() bool { return len(s.Requests()) == 2 }); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	clients.Wait()
	for _, r := range s.Requests() {
		if r.Ended.IsZero() {
			t.Errorf("request %d goes on after Close", r.Number)
		}
	}
}

func TestAServerComesBackOnTheSameAddressAndRemembers(t *testing.T) {
	s := outboxtest.Start(t)
	post(t, s, event(1, "ada", noon))
	address := s.URL()
	s.Close()
	if a := send(s, client(patient), batch(event(2, "ada", noon))); a.err == nil {
		t.Fatalf("a closed server answered %d", a.status)
	}
	if err := s.Listen(strings.TrimPrefix(address, "http://")); err != nil {
		t.Fatal(err)
	}
	post(t, s, event(2, "ada", noon))
	if s.URL() != address {
		t.Errorf("the server moved from %s to %s", address, s.URL())
	}
	wantUUIDs(t, "kept", s.Commits(), 1, 2)
}

func TestListeningTwiceOrOnATakenAddressFails(t *testing.T) {
	s := outboxtest.Start(t)
	if err := s.Listen("127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second Listen gave %v, want an error", err)
	}
	if err := outboxtest.New().Listen(strings.TrimPrefix(s.URL(), "http://")); err == nil {
		t.Error("two servers listen on one address")
	}
	post(t, s, event(1, "ada", noon))
}

func TestTLSIsRefusedByWhoeverDoesNotKnowTheAuthority(t *testing.T) {
	s := outboxtest.StartTLS(t)
	trouble := make(chan string, 1)
	s.Watch(outboxtest.Watcher{Trouble: func(line string) { trouble <- line }})
	if a := send(s, client(patient), batch(event(1, "ada", noon))); a.err == nil || !strings.Contains(a.err.Error(), "certificate") {
		t.Errorf("a stranger was answered with %d, %v; want an error about the certificate", a.status, a.err)
	}
	if line := <-trouble; !strings.Contains(line, "TLS handshake") {
		t.Errorf("the watcher was told %q, want a line about the handshake", line)
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	a := send(s, trusting(t, s), batch(event(1, "ada", noon)))
	if a.status != http.StatusOK {
		t.Errorf("who trusts the authority was answered with %d, %v", a.status, a.err)
	}
}

func TestAwaitEndsWithItsContextAndSaysWhatItSaw(t *testing.T) {
	s := outboxtest.Start(t)
	post(t, s, event(1, "ada", noon))
	if err := s.AwaitEvents(soon(t), 1); err != nil {
		t.Errorf("waiting for what is there gave %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.AwaitEvents(ctx, 2)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 events from 1 requests") {
		t.Errorf("waiting for too much gave %v, want the context's error and the counts", err)
	}
}

func TestTheWatcherSeesCommitsBeforeTheAnswer(t *testing.T) {
	s := outboxtest.Start(t)
	var seen []string
	s.Watch(outboxtest.Watcher{
		Committed: func(c outboxtest.Commit) { seen = append(seen, fmt.Sprintf("%d.%d %v", c.Request, c.Seq, c.Repeat)) },
		Answering: func(r outboxtest.Request) {
			seen = append(seen, fmt.Sprintf("%v %d %d", r.Fault, r.Status, r.Committed))
		},
	})
	s.SetFaults(outboxtest.MustFault("commit+500"), outboxtest.MustFault("reset-in-body"))
	for range 3 {
		send(s, client(patient), batch(event(1, "ada", noon)))
	}
	want := []string{"1.1 false", "commit+500 500 1", "reset-in-body 0 0", "3.1 true", "ok 200 1"}
	if !slices.Equal(seen, want) {
		t.Errorf("the watcher saw %q, want %q", seen, want)
	}
}

func TestAnHTTPProxysClientReachesTheServerToo(t *testing.T) {
	s := outboxtest.Start(t)
	request, err := http.NewRequestWithContext(soon(t), http.MethodPost, "http://us.i.posthog.test/batch/", strings.NewReader(batch(event(1, "ada", noon))))
	if err != nil {
		t.Fatal(err)
	}
	through := client(patient)
	through.Transport.(*http.Transport).Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(s.URL()) }
	response, err := through.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := s.Requests()[0]; got.Host != "us.i.posthog.test" || got.Committed != 1 {
		t.Errorf("the log says %+v, want the host that was meant and 1 message", got)
	}
}
