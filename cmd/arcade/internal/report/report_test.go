package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/report"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// everyPage returns the page of each kind of machine.
func everyPage(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for name, data := range map[string]report.Data{
		"nothing": {Now: now, Messages: all(nil)}, "one": one(), "weeks": weeks(), "set back": setBack(), "hostile": hostile(), "many": many(),
	} {
		pages[name] = written(t, data)
	}
	return pages
}

func between(t *testing.T, page, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, from)
	middle, _, ends := strings.Cut(rest, to)
	if !found || !ends {
		t.Fatalf("the page has no %s...%s", from, to)
	}
	return middle
}

func TestThePolicyAllowsTheStyleOfThePageAndNothingElse(t *testing.T) {
	before, behind, _ := strings.Cut(written(t, weeks()), "<style>") // which the policy has to precede
	style, _, _ := strings.Cut(behind, "</style>")
	digest := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; base-uri 'none'; form-action 'none'"
	if got := between(t, before, `http-equiv="Content-Security-Policy" content="`, `"`); got != want {
		t.Errorf("the policy is\n%s, want\n%s", got, want)
	}
}

func TestTheNumbersAreThoseOfUsageInspect(t *testing.T) {
	data := one()
	data.Snapshot.Counts = outbox.Counts{Pending: 12_345, Delivered: 500, Dead: 1_000_000, Dropped: 0}
	says(t, written(t, data), "Waiting</b><data value=12345>12,345</data>", "Delivered</b><data value=500>500</data>",
		"Dead</b><data value=1000000>1,000,000</data>", "Dropped</b><data value=0>0</data>")
}

// says checks that all of this is on a page, or on a part of it.
func says(t *testing.T, page string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not there, in\n%.3000s", want, page)
		}
	}
}

func TestForeignTextStaysTextAndIsSeen(t *testing.T) {
	page := written(t, hostile())
	for _, bad := range []string{"<script", "<img", "<style>*", "\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\r", "\xff"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
	says(t, page, "&lt;script&gt;", "<i>U+202E</i>gnp.exe<i>U+2066</i>", "<i>U+0000</i>", "<i>U+001B</i>", "<i>U+FFFD</i>", "שלום עולם")
	if strings.Contains(page, strings.Repeat("\u0310\u0323", 3)) {
		t.Error("marks pile up on a letter and run into the lines above")
	}
}

func TestEachMessageIsThereAsItGoesOverTheWire(t *testing.T) {
	data := one()
	shown := html.UnescapeString(between(t, written(t, data), "<pre>", "</pre>"))
	for m := range data.Messages {
		want, _ := wire(m)
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(shown)); err != nil || compact.String() != string(want) {
			t.Errorf("the page shows %s, want %s (%v)", shown, want, err)
		}
	}
}

func TestThePageKeepsToItsLimitAndSaysWhatItCannotShow(t *testing.T) {
	for name, page := range everyPage(t) {
		if len(page) > report.Limit {
			t.Errorf("%s: the page has %d bytes, more than %d", name, len(page), report.Limit)
		}
		says(t, page, "kept for 7 days, the newest 500 at most: older ones are gone.")
		cut := strings.Contains(page, "Cut:") || strings.Contains(page, "as many as fit")
		if name == "one" && cut || name == "many" && strings.Count(page, "<details class=m>") < 100 {
			t.Errorf("%s: there is room for more", name)
		}
	}
	says(t, written(t, many()), "of 4,000, as many as fit", "most frequent 30 of 4,000 commands", "most frequent 20 of 4,000 reasons",
		"latest 20 of 4,000 stretches")
}

func TestDurationsAreThoseOfRealRuns(t *testing.T) {
	var list []outbox.Message
	for i := range 10 {
		p := track.Properties{CommandName: "whoami", Duration: float64(10-i) * 100}
		if i < 3 {
			p.ErrorMessage = "network"
		}
		list = append(list, saying(event(i+1, now.Add(-time.Hour), "", time.Second), p))
	}
	row := between(t, written(t, machine(list...)), "<tbody>", "</tbody>")
	says(t, row, ">10<", `>3 <span class=off>30&nbsp;%<`, ">500 ms<", ">900 ms\n") // of 100 to 1000 ms, three failed
}

func TestAnOutageIsAStretchInWhichEventsWaited(t *testing.T) {
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	alias := event(5, at(-300), "", 4*time.Hour) // waits for Arcade Cloud, not for the network
	alias.Kind = outbox.Alias
	page := written(t, machine(
		event(1, at(-300), "whoami", time.Second), // at once
		event(2, at(-240), "whoami", 2*time.Hour), // offline for two hours
		event(3, at(-180), "whoami", time.Hour),   // delivered together with the one before
		event(4, at(-60), "whoami", time.Minute),  // a back-off
		alias,
	))
	gaps := between(t, page, "<ul class=gaps>", "</ul>")
	if strings.Count(gaps, "<li>") != 1 || !strings.Contains(gaps, "<b>2 h</b>") || !strings.Contains(gaps, "2 messages</li>") {
		t.Errorf("want one stretch of two hours in which two messages waited, got\n%s", gaps)
	}
}

func TestThePresentOutageHasItsReason(t *testing.T) {
	data := weeks()
	gaps := between(t, written(t, data), "<ul class=gaps>", "</ul>")
	want := fmt.Sprintf("now · %d messages · <bdi>name not found</bdi>", data.Snapshot.Counts.Pending)
	if !strings.HasPrefix(strings.TrimSpace(gaps), "<li><b>3 h</b>") || !strings.Contains(gaps, want) {
		t.Errorf("the outage of the last three hours should come first, with its reason:\n%s", gaps)
	}
}

func TestAnErrorOfTheOutboxOrTheDiskIsReturned(t *testing.T) {
	broken := errors.New("disk I/O error")
	data := report.Data{Now: now, Messages: func(yield func(outbox.Message, error) bool) { yield(outbox.Message{}, broken) }}
	if err := report.Write(io.Discard, data); !errors.Is(err, broken) {
		t.Errorf("the error of the messages is %v, want %v", err, broken)
	}
	full, disk := io.Pipe()
	full.CloseWithError(broken)
	if err := report.Write(disk, one()); !errors.Is(err, broken) {
		t.Errorf("the error of the disk is %v, want %v", err, broken)
	}
}

func TestTheReasonsOfFailuresAreCounted(t *testing.T) {
	var list []outbox.Message
	for i, why := range []string{"not logged in", "network", "not logged in", ""} {
		m := event(i+1, now.Add(time.Duration(i)*time.Minute), "", 0)
		m = saying(m, track.Properties{CommandName: fmt.Sprint("c", i), ErrorMessage: why})
		m.Event = track.Failed
		list = append(list, m)
	}
	page := written(t, machine(append(list, event(5, now, "whoami", 0))...))
	table := between(t, between(t, page, "<h2>Why commands failed</h2>", "</section>"), "<tbody>", "</tbody>")
	rows := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(strings.ReplaceAll(table, "<td", " <td"), "")
	want := "\nnot logged in 2 25 Nov 13:44 c2\nno reason recorded 1 25 Nov 13:45 c3\nnetwork 1 25 Nov 13:43 c1\n"
	if rows != want {
		t.Errorf("the reasons are %q, want %q: how often, and the time and the command of the latest failure", rows, want)
	}
	if page := written(t, one()); strings.Contains(page, "Why commands failed") {
		t.Error("a machine on which nothing failed has a table of failures")
	}
}

// A clock may have been wrong: the first event of a machine without a battery is of 1970.
func TestAWrongClockDoesNotBreakTheTimeline(t *testing.T) {
	for _, years := range []int{-400, -56, 1, 300} {
		list := []outbox.Message{event(1, now.AddDate(years, 0, 0), "whoami", 0), event(2, now, "whoami", time.Second)}
		page := written(t, machine(list...))
		if bars := strings.Count(page, "<rect class=delivered"); bars != 2 {
			t.Errorf("an event %d years away leaves %d bars, want 2", years, bars)
		}
	}
}

func FuzzForeignText(f *testing.F) {
	for m := range hostile().Messages {
		f.Add(m.DistinctID)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if word == "" { // has a meaning: not known
			return
		}
		about := func(word string) report.Data {
			m := saying(event(1, now, "", 0), track.Properties{CommandName: word, ErrorMessage: word})
			m.DistinctID, m.LastError = word, word
			data := machine(m)
			data.Status = [][2]string{{word, word}}
			data.Wire = func(outbox.Message) (json.RawMessage, error) { return json.RawMessage(word), nil }
			return data
		}
		data, same := about(word), about("x")
		if got, want := tags(written(t, data)), tags(written(t, same)); got != want {
			t.Errorf("%q changes the elements of the page from\n%s to\n%s", word, want, got)
		}
	})
}

// tags returns the tags of a page, without those of the marks that stand for single characters.
func tags(page string) string {
	page = strings.NewReplacer("<i>", "", "</i>", "").Replace(page)
	return strings.Join(regexp.MustCompile(`<[^>]*>`).FindAllString(page, -1), " ")
}
