package outboxtest_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// verdicts counts what posthog-go says of its messages.
type verdicts struct {
	mu              sync.Mutex
	success, failed int
}

func (v *verdicts) Success(posthog.APIMessage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.success++
}

func (v *verdicts) Failure(posthog.APIMessage, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failed++
}

// silent keeps posthog-go from writing to the test's output.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Logf(string, ...any)   {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

// deliver sends the messages with the real posthog-go, as one batch and without retries.
func deliver(t testing.TB, s *outboxtest.Server, compression posthog.CompressionMode, messages ...posthog.Message) *verdicts {
	t.Helper()
	said := &verdicts{}
	c, err := posthog.NewWithConfig(token, posthog.Config{
		Endpoint: s.URL(), Callback: said, Logger: silent{}, Compression: compression,
		IsServer: posthog.Ptr(false), MaxRetries: posthog.Ptr(0), BatchSize: len(messages),
		BatchUploadTimeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := c.Enqueue(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return said
}

// story is an anonymous command, a login and a command, as the real client is given them.
func story(at time.Time) []posthog.Message {
	return []posthog.Message{
		posthog.Capture{Uuid: id(1), DistinctId: "x1", Event: "CLI execution succeeded", Timestamp: at,
			Properties: posthog.NewProperties().Set("$process_person_profile", false).Set("command_name", "whoami")},
		posthog.Alias{Uuid: id(2), DistinctId: "ada", Alias: "x1", Timestamp: at.Add(time.Second)},
		posthog.Capture{Uuid: id(3), DistinctId: "ada", Event: "CLI execution failed", Timestamp: at.Add(time.Second),
			Properties: posthog.NewProperties().Set("command_name", "login").Set("duration", 12.34)},
	}
}

func TestTheRealClientIsUnderstood(t *testing.T) {
	for _, compression := range []posthog.CompressionMode{posthog.CompressionNone, posthog.CompressionGzip} {
		t.Run(compression.String(), func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			at := time.Date(2026, 11, 23, 12, 0, 0, 123e6, time.UTC)
			if said := deliver(t, s, compression, story(at)...); said.success != 3 || said.failed != 0 {
				t.Fatalf("posthog-go reports %d successes and %d failures, want 3 and 0", said.success, said.failed)
			}
			wantViolations(t, s)
			commits := s.Commits()
			wantUUIDs(t, "kept", commits, 1, 2, 3)
			if len(commits) != 3 {
				t.FailNow()
			}
			if c := commits[0]; c.DistinctID != "x1" || !c.Timestamp.Equal(at) || c.Token != token || c.Properties()["$process_person_profile"] != false {
				t.Errorf("the anonymous event was read as %+v", c)
			}
			if c := commits[1]; !c.IsAlias() || c.DistinctID != "ada" || c.Alias != "x1" || !c.Timestamp.Equal(at.Add(time.Second)) {
				t.Errorf("the alias was read as %+v", c)
			}
			if c := commits[2]; c.DistinctID != "ada" || c.Alias != "" || c.Properties()["duration"] != 12.34 || c.Properties()["$lib"] != "posthog-go" {
				t.Errorf("the event of the principal was read as %+v", c)
			}
			r := s.Requests()[0]
			if len(s.Requests()) != 1 || r.Gzip != (compression == posthog.CompressionGzip) || r.Path != "/batch/" || r.Events != 3 {
				t.Errorf("the log says %+v, want one batch of 3", r)
			}
		})
	}
}

func TestARepeatByTheRealClientIsTheSameBytes(t *testing.T) {
	s := outboxtest.Start(t)
	for range 2 {
		deliver(t, s, posthog.CompressionGzip, story(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))...)
	}
	wantUUIDs(t, "commits", s.Commits(), 1, 2, 3, 1, 2, 3)
	wantUUIDs(t, "events", s.Events(), 1, 2, 3)
	wantViolations(t, s)
}

func TestTheRealClientMeetsEveryModeOfFailure(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, f := range outboxtest.AllFaults() {
		if f.Arg != "" {
			continue // each mode once is enough here: posthog-go takes 200 ms to close twice
		}
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			s.SetFaults(f)
			said := deliver(t, s, posthog.CompressionGzip, story(at)...)
			if said.success+said.failed != 3 {
				t.Errorf("posthog-go reports on %d messages, want all 3", said.success+said.failed)
			}
			deliver(t, s, posthog.CompressionGzip, story(at)...)
			wantUUIDs(t, "events once the fault is over", s.Events(), 1, 2, 3)
			if first := s.Requests()[0]; first.Fault != f || (first.Committed == 3) != f.Commit {
				t.Errorf("the log says of the first request %+v, want the fault, and 3 messages only if it commits", first)
			}
			var want []string
			if f.Mode == "307" {
				want = []string{"request 2 follows a redirect"} // as posthog-go does when it is left alone
			}
			wantViolations(t, s, want...)
		})
	}
}

func BenchmarkServer(b *testing.B) {
	const messages, perBatch = 10_000, 500
	var batches []string
	for n := 0; n < messages; n += perBatch {
		var list []string
		for i := range perBatch {
			list = append(list, sixHundredBytes(n+i))
		}
		batches = append(batches, gzipped(batch(list...)))
	}
	perSecond := func(b *testing.B) {
		b.ReportMetric(float64(b.N)*messages/b.Elapsed().Seconds(), "messages/s")
	}
	b.Run("handler alone", func(b *testing.B) {
		for b.Loop() {
			s := outboxtest.New()
			for _, body := range batches {
				if status := serve(s, body); status != http.StatusOK {
					b.Fatalf("answered %d", status)
				}
			}
		}
		perSecond(b)
	})
	b.Run("over loopback", func(b *testing.B) {
		c := &http.Client{Transport: &http.Transport{}}
		defer c.CloseIdleConnections()
		for b.Loop() {
			s := outboxtest.New()
			if err := s.Listen("127.0.0.1:0"); err != nil {
				b.Fatal(err)
			}
			for _, body := range batches {
				if a := send(s, c, body); a.status != http.StatusOK {
					b.Fatalf("answered %d, %v", a.status, a.err)
				}
			}
			s.Close()
		}
		perSecond(b)
	})
}

// sixHundredBytes is an event of the size that real ones have.
func sixHundredBytes(n int) string {
	return fmt.Sprintf(`{"uuid":%q,"timestamp":"2026-11-23T12:00:00.%03dZ","distinct_id":"3f2a9c1e-7d5e-4c3a-9f00-0123456789ab","event":"CLI execution succeeded","properties":{"$go_version":"go1.26.0","$lib":"posthog-go","$lib_version":"1.23.1","$os":"Linux","$os_distro":"Debian GNU/Linux","$os_version":"12","$process_person_profile":false,"cli_version":"0.1.0","command_name":"secret.set","duration":%d.25,"error_message":"engine answered 503 service unavailable, try again in a moment","os_release":"6.1.0-13-amd64","os_type":"Linux","runtime_language":"go","runtime_version":"1.26.0"}}`, id(n), n%1000, n)
}
