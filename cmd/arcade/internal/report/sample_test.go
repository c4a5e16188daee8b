package report_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/report"
)

var now = time.Date(2026, 11, 25, 13, 42, 0, 0, time.UTC)

const (
	firstID  = "3f2a9c1e-7b54-4d0a-9e1f-5c8d2a6b4e10"
	secondID = "a03b4bf0-2f08-47a9-8a07-2de447908fe0"
	ada      = "user_ada_lovelace"
)

// all gives out a list as the outbox does.
func all(list []report.Message) iter.Seq2[report.Message, error] {
	return func(yield func(report.Message, error) bool) {
		for _, m := range list {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// event is a command's message, delivered after the given wait.
func event(seq int, at time.Time, command string, wait time.Duration) report.Message {
	m := report.Message{
		Seq: int64(seq), UUID: fmt.Sprintf("01a208f6-33d4-72d6-ad7a-%012x", seq), Command: command,
		Duration: time.Duration(20+seq*37%400) * time.Millisecond, State: report.Delivered, Who: ada,
		RecordedAt: at, SettledAt: at.Add(wait),
	}
	m.Wire = func() (json.RawMessage, error) { return wire(m), nil }
	return m
}

func wire(m report.Message) json.RawMessage {
	properties := map[string]any{
		"$geoip_disable": true, "$go_version": "go1.26.8", "$lib": "posthog-go", "$lib_version": "1.23.1", "$os": "Linux",
		"$os_distro": "Debian GNU/Linux", "$os_version": "12", "cli_version": "1.0.0", "command_name": m.Command,
		"duration": float64(m.Duration) / 1e6, "os_release": "6.12.57", "os_type": "Linux", "runtime_language": "go",
		"runtime_version": "go1.26.8", "error_message": m.Result,
	}
	document, err := json.Marshal(map[string]any{
		"uuid": m.UUID, "timestamp": m.RecordedAt, "distinct_id": m.Who, "event": "CLI execution succeeded", "properties": properties,
	})
	if err != nil {
		panic(err)
	}
	return document
}

// weeks is what a laptop records in six days, with two outages, a login and two dead messages.
func weeks() report.Data {
	var list []report.Message
	start := now.Add(-6*24*time.Hour + 3*time.Hour)
	commands := []string{"whoami", "secret.list", "secret.set", "secret.list", "org.list", "secret.set", "login", "secret.unset", "project.set"}
	outage, end := now.Add(-70*time.Hour), now.Add(-51*time.Hour)
	failing := now.Add(-3 * time.Hour)
	for i := range 420 {
		at := start.Add(time.Duration(i) * 20 * time.Minute)
		if hour := at.Hour(); hour < 7 || hour > 20 || i%7 == 3 || at.After(now) {
			continue
		}
		m := event(len(list)+1, at, commands[i*i%len(commands)], 900*time.Millisecond)
		if i%11 == 5 {
			m.Failed, m.Result = true, "not logged in"
		}
		switch {
		case at.After(failing):
			m.State, m.SettledAt = report.Pending, time.Time{}
		case at.After(outage) && at.Before(end):
			m.SettledAt = end
		case i%97 == 40:
			m.State, m.Note = report.Dead, "refused with HTTP 400"
		}
		if at.Before(start.Add(30 * time.Hour)) {
			m.Who, m.Anonymous = firstID, true
		}
		list = append(list, m)
	}
	return report.Data{
		Now: now, Version: "1.0.0", Messages: all(list), Counts: count(list, 3),
		Status: []report.Line{
			{Label: "Tracking", Text: "on (default)"}, {Label: "Sent to", Text: "https://us.i.posthog.com"},
			{Label: "Next", Text: "4 messages wait; no delivery since 10:42 (name not found). The first command after 12 min tries again."},
		},
		Keeping: "Receipts of delivered messages are kept for 7 days, 500 at most; older ones are not on this page.",
		AnonID:  firstID, PrincipalID: ada, FailingSince: failing, LastError: "name not found",
		Identities: []report.Identity{
			{AnonID: secondID, From: start.Add(-900 * time.Hour), Until: start},
			{AnonID: firstID, PrincipalID: ada, From: start},
		},
	}
}

func count(list []report.Message, dropped int) report.Counts {
	c := report.Counts{Dropped: dropped}
	for _, m := range list {
		switch m.State {
		case report.Pending:
			c.Pending++
		case report.Delivered:
			c.Delivered++
		case report.Dead:
			c.Dead++
		}
	}
	return c
}

// hostile is what no honest program would record: markup, letters that turn the line around,
// marks that pile up, and ten thousand characters without a blank.
func hostile() report.Data {
	words := []string{
		`</pre></details><script>document.title="owned"</script><img src=x onerror=alert(1)>`, `"><style>*{display:none}</style>`,
		"\u202egnp.exe\u2066 \u200b\x00\x1b[31m\r", "Z" + strings.Repeat("\u0310\u0323", 300), strings.Repeat("W", 10_000), "\xff\xfe", "שלום עולם (1)",
	}
	var list []report.Message
	for i, word := range words {
		m := event(i+1, now.Add(time.Duration(i-30)*time.Minute), word, time.Second)
		m.Failed, m.Result, m.Who, m.Note = true, word, word, word
		m.State = report.State(word)
		m.Wire = func() (json.RawMessage, error) { return json.RawMessage(word), nil }
		list = append(list, m)
	}
	word := strings.Join(words, "")
	return report.Data{
		Now: now, Version: word, Messages: all(list), Status: []report.Line{{Label: word, Text: word}}, Keeping: word,
		AnonID: word, PrincipalID: word, FailingSince: now.Add(-time.Hour), LastError: word, Counts: report.Counts{Pending: 1 << 40},
		Identities: []report.Identity{{AnonID: word, PrincipalID: word}},
	}
}

// many is a queue at its cap, with a command for every message.
func many() report.Data {
	return report.Data{Now: now, Counts: report.Counts{Pending: 100_000}, Messages: func(yield func(report.Message, error) bool) {
		for i := range 100_000 {
			m := event(i+1, now.Add(time.Duration(i-100_000)*time.Minute), fmt.Sprintf("command.%d", i), 0)
			m.State, m.SettledAt, m.Who = report.Pending, time.Time{}, fmt.Sprint("user_", i)
			if !yield(m, nil) {
				return
			}
		}
	}}
}

func written(t *testing.T, data report.Data) string {
	t.Helper()
	var page strings.Builder
	if err := report.Write(&page, data); err != nil {
		t.Fatal(err)
	}
	return page.String()
}
