package outboxtest_test

import (
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
