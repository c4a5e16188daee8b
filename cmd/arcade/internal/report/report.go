// Package report writes a page about what a machine recorded and what became of it: one HTML
// file that a browser shows without network and without script.
package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

//go:embed style.css
var style string

// Data is what the page shows. All its text counts as foreign: the page shows it and never interprets it.
type Data struct {
	Now      time.Time // when the page is made; its location is that of all times on the page
	Version  string    // of the program
	Snapshot track.Snapshot
	Status   [][2]string                      // labels and texts of `usage status`
	Messages iter.Seq2[outbox.Message, error] // in the order of recording
	// Wire returns a message as it goes over the wire; an error means that it is damaged. It is called only for
	// messages that are shown.
	Wire func(outbox.Message) (json.RawMessage, error)
}

// Write writes the page. After an error, which is that of the messages or of w, what was written is
// not a page.
func Write(w io.Writer, data Data) error {
	sums, err := sum(data.Messages)
	if err != nil {
		return fmt.Errorf("read the messages: %w", err)
	}
	p := &page{now: data.Now}
	p.head(data)
	p.timeline(data.Snapshot, sums)
	p.commands(sums)
	p.reasons(sums)
	p.owners(data.Snapshot, sums)
	p.messages(sums, data.Wire)
	p.add("<footer><p><code>arcade usage export</code> prints all messages as they are sent, ",
		"<code>arcade usage disable</code> stops recording and erases them.</p></footer>\n</main>\n</html>\n")
	_, err = w.Write(p.Bytes())
	return err
}

// head writes what stands above the sections. The policy lets the browser use the style of this file and
// nothing else: no script, no request, whatever a message may contain.
func (p *page) head(data Data) {
	digest := sha256.Sum256([]byte(style))
	p.add("<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n",
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-`,
		base64.StdEncoding.EncodeToString(digest[:]), "'; base-uri 'none'; form-action 'none'\">\n",
		"<meta name=viewport content=\"width=device-width, initial-scale=1\">\n",
		"<meta name=color-scheme content=\"light dark\">\n<meta name=referrer content=no-referrer>\n",
		"<title>arcade usage report</title>\n<style>", style, "</style>\n<main>\n",
		"<header><p class=brand>arcade usage</p>\n<h1>What this machine recorded, and what became of it</h1>\n",
		"<p class=sub>", data.Now.Format("Monday, 2 January 2006, 15:04 MST"), " · arcade ", foreign(data.Version, 40),
		" · made on this machine, sent nowhere</p></header>\n<ul class=tiles>")
	counts := data.Snapshot.Counts
	p.tile("delivered", counts.Delivered, "Delivered", "accepted by the server")
	p.tile("pending", counts.Pending, "Waiting", "recorded, not sent yet")
	p.tile("dead", counts.Dead, "Dead", "refused for good, kept to be seen")
	p.tile("dropped", counts.Dropped, "Dropped", "too old or too many, never sent")
	p.add("</ul>\n<dl class=status>\n")
	for _, line := range data.Status {
		p.add("<div><dt>", foreign(line[0], 40), "</dt><dd>", foreign(line[1], 400), "</dd></div>\n")
	}
	p.add("</dl>\n")
}

func (p *page) tile(class string, n int, label, what string) {
	if n == 0 {
		class += " none"
	}
	p.add(`<li class="`, class, `"><b>`, label, "</b><data value=", strconv.Itoa(n), ">", number(n), "</data><span>", what, "</span></li>")
}

// Limit bounds the size of the page, in bytes; messages beyond it are counted and not shown.
const Limit = 200_000

// reserve is the room, in bytes, for what stands behind the messages and for the words above them.
const reserve = 4000

// messages shows as many messages as fit, the newest first.
func (p *page) messages(s *sums, wire func(outbox.Message) (json.RawMessage, error)) {
	if len(s.points) == 0 {
		return
	}
	var list []byte
	shown, one := 0, &page{now: p.now}
	for _, m := range slices.Backward(s.newest) {
		one.Reset()
		document, _ := wire(m) // nil if it is damaged
		one.message(m, document)
		if p.Len()+len(list)+one.Len() > Limit-reserve {
			break
		}
		list = append(list, one.Bytes()...)
		shown++
	}
	p.section("Every message", "Open one to see it exactly as it goes over the wire. The newest is first.")
	if shown < len(s.points) {
		p.add("<p class=cut>", number(shown), " of ", number(len(s.points)), ", as many as fit on a page of ", strconv.Itoa(Limit/1000),
			" kB; <code>arcade usage export</code> prints them all.</p>\n")
	}
	p.Write(list)
	p.add("</section>\n")
}

func (p *page) message(m outbox.Message, wire json.RawMessage) {
	run := properties(m)
	subject, outcome, owner := run.CommandName, "ok", "as "+code(m.DistinctID)
	if m.Event == track.Failed {
		outcome = "failed"
	}
	outcome += " in " + term.Milliseconds(run.Duration)
	if run.ErrorMessage != "" {
		outcome += ": " + foreign(run.ErrorMessage, 120)
	}
	if m.Kind == outbox.Alias {
		subject, outcome = "alias", "says that two ids are one person"
	}
	if m.DistinctID == "" {
		owner = "its owner is not known yet"
	} else if m.Anonymous() {
		owner = "anonymous " + owner
	}
	p.add("<details class=m><summary><span class=seq>", strconv.FormatInt(m.Seq, 10), "</span>",
		"<span class=", string(m.State), ">", label(m.State), "</span>",
		"<b>", foreign(subject, 40), "</b><span class=r>", outcome, "</span>", p.clock(m.RecordedAt), "</summary><p>", owner)
	if !m.SettledAt.IsZero() {
		p.add(" · ", label(m.State), " ", p.clock(m.SettledAt))
	}
	if m.LastError != "" {
		p.add(" · ", foreign(m.LastError, 200))
	}
	p.add("</p><pre>", document(wire), "</pre></details>\n")
}

// document is a message's JSON, indented with tabs: the style makes them narrow.
func document(wire json.RawMessage) string {
	var indented bytes.Buffer
	if json.Indent(&indented, wire, "", "\t") != nil {
		indented.Write(wire)
	}
	return cmp.Or(text(indented.String()), "This message is damaged and cannot be put on the wire.")
}
