package report_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/report"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

var now = time.Date(2026, 11, 25, 13, 42, 0, 0, time.UTC)

const (
	firstID  = "3f2a9c1e-7b54-4d0a-9e1f-5c8d2a6b4e10"
	secondID = "a03b4bf0-2f08-47a9-8a07-2de447908fe0"
	ada      = "user_ada_lovelace"
)

// all gives out a list as the outbox does.
func all(list []outbox.Message) iter.Seq2[outbox.Message, error] {
	return func(yield func(outbox.Message, error) bool) {
		for _, m := range list {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// event is a command's message, delivered after the given wait.
func event(seq int, at time.Time, command string, wait time.Duration) outbox.Message {
	m := outbox.Message{
		Seq: int64(seq), UUID: fmt.Sprintf("01a208f6-33d4-72d6-ad7a-%012x", seq), Kind: outbox.Capture, Event: track.Succeeded,
		State: outbox.Delivered, AnonID: firstID, DistinctID: ada, RecordedAt: at, SettledAt: at.Add(wait),
	}
	return saying(m, track.Properties{CommandName: command, Duration: float64(20 + seq*37%400)})
}

// saying gives a message its properties; an error message makes it one of a failure.
func saying(m outbox.Message, p track.Properties) outbox.Message {
	if p.ErrorMessage != "" {
		m.Event = track.Failed
	}
	p.CLIVersion, p.RuntimeLanguage, p.RuntimeVersion, p.OSType, p.OSRelease = "1.0.0", "go", "go1.26.8", "Linux", "6.12.57"
	var err error
	if m.Properties, err = json.Marshal(p); err != nil {
		panic(err)
	}
	return m
}

// wire is the message as a sink sends it.
func wire(m outbox.Message) (json.RawMessage, error) {
	return json.Marshal(map[string]any{
		"uuid": m.UUID, "timestamp": m.RecordedAt, "distinct_id": m.DistinctID, "event": m.Event, "properties": m.Properties,
	})
}

// machine is one with these messages.
func machine(list ...outbox.Message) report.Data {
	n := map[outbox.State]int{}
	for _, m := range list {
		n[m.State]++
	}
	counts := outbox.Counts{Pending: n[outbox.Pending], Delivered: n[outbox.Delivered], Dead: n[outbox.Dead]}
	return report.Data{
		Now: now, Version: "1.0.0", Messages: all(list), Wire: wire,
		Snapshot: track.Snapshot{AnonID: firstID, PrincipalID: ada, Counts: counts},
	}
}

// one is an anonymous machine that has recorded once.
func one() report.Data {
	data := machine(event(1, now.Add(-time.Minute), "whoami", time.Second))
	data.Snapshot.PrincipalID = ""
	return data
}

// weeks is what a laptop records in six days, with two outages, of which one lasts, a login and dead messages.
func weeks() report.Data {
	var list []outbox.Message
	start, login := now.Add(-6*24*time.Hour), now.Add(-5*24*time.Hour)
	outage, end, failing := now.Add(-70*time.Hour), now.Add(-51*time.Hour), now.Add(-3*time.Hour)
	commands := []string{"whoami", "secret.list", "secret.set", "secret.list", "org.list", "login", "secret.unset", "project.set"}
	for at := start; at.Before(now); at = at.Add(20 * time.Minute) {
		i := len(list)
		m := event(i+1, at, commands[i*i%len(commands)], 900*time.Millisecond)
		if i%11 == 5 {
			m = saying(m, track.Properties{CommandName: "secret.list", Duration: 12, ErrorMessage: []string{"not logged in", "network"}[i%2]})
		}
		switch {
		case at.After(failing):
			m.State, m.SettledAt = outbox.Pending, time.Time{}
		case at.After(outage) && at.Before(end):
			m.SettledAt = end
		case i%97 == 40:
			m.State, m.LastError = outbox.Dead, "refused with HTTP 400"
		}
		if at.Before(login) {
			m.DistinctID = firstID
		}
		list = append(list, m)
	}
	data := machine(list...)
	data.Status = [][2]string{
		{"Tracking", "on (default)"}, {"Sent to", "https://us.i.posthog.com"},
		{"Next", "4 messages wait; no delivery since 10:42 (name not found). The first command after 12 min tries again."},
	}
	data.Snapshot.Counts.Dropped = 3
	data.Snapshot.Schedule = outbox.Schedule{FailingSince: failing, LastError: "name not found"}
	data.Snapshot.Identities = []identity.Period{
		{AnonID: secondID, From: start.Add(-900 * time.Hour), Until: start},
		{AnonID: firstID, PrincipalID: ada, From: start},
	}
	return data
}

// setBack is a machine whose clock was an hour ahead until a time server put it right: a message was settled "before" it
// was recorded.
func setBack() report.Data {
	return machine(event(1, now.Add(-time.Hour), "whoami", time.Second), event(2, now.Add(time.Hour), "whoami", -time.Hour))
}

// hostile is what no honest program would record: markup, letters that turn the line around,
// marks that pile up, and ten thousand characters without a blank.
func hostile() report.Data {
	words := []string{
		`</pre></details><script>document.title="owned"</script><img src=x onerror=alert(1)>`, `"><style>*{display:none}</style>`,
		"\u202egnp.exe\u2066 \u200b\x00\x1b[31m\r", "Z" + strings.Repeat("\u0310\u0323", 300), strings.Repeat("W", 10_000), "\xff\xfe", "שלום עולם (1)",
	}
	var list []outbox.Message
	for i, word := range words {
		m := event(i+1, now.Add(time.Duration(i-30)*time.Minute), word, time.Second)
		m = saying(m, track.Properties{CommandName: word, ErrorMessage: word})
		m.DistinctID, m.LastError, m.State = word, word, outbox.State(word)
		list = append(list, m)
	}
	word := strings.Join(words, "")
	data := machine(list...)
	data.Version, data.Status = word, [][2]string{{word, word}}
	data.Wire = func(m outbox.Message) (json.RawMessage, error) { return json.RawMessage(m.DistinctID), nil }
	data.Snapshot = track.Snapshot{
		AnonID: word, PrincipalID: word, Counts: outbox.Counts{Pending: 1 << 40},
		Schedule:   outbox.Schedule{FailingSince: now.Add(-time.Hour), LastError: word},
		Identities: []identity.Period{{AnonID: word, PrincipalID: word}},
	}
	return data
}

// many is a queue of many times what a page holds, with a command, a failure and an owner for every message.
func many() report.Data {
	const messages = 4000
	var list []outbox.Message
	for i := range messages {
		m := event(i+1, now.Add(time.Duration(i-messages)*time.Minute), "", 0)
		m = saying(m, track.Properties{CommandName: fmt.Sprint("command.", i), ErrorMessage: fmt.Sprint("reason ", i)})
		m.State, m.SettledAt, m.DistinctID = outbox.Pending, time.Time{}, fmt.Sprint("user_", i)
		list = append(list, m)
	}
	return machine(list...)
}

func written(t *testing.T, data report.Data) string {
	t.Helper()
	var page strings.Builder
	if err := report.Write(&page, data); err != nil {
		t.Fatal(err)
	}
	return page.String()
}
