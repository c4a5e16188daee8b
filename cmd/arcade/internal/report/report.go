// Package report writes a page about what a machine recorded and what became of it: one HTML
// file that a browser shows without network and without script.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"
)

// Limit is the size of the page, in bytes; messages beyond it are counted and not shown.
const Limit = 200_000

// Data is what the page shows. All text in it counts as foreign: it is shown, never obeyed.
type Data struct {
	Now     time.Time // when the page is made; its location is the one that times are shown in
	Version string    // of the program
	Counts  Counts
	Status  []Line // what `usage status` says, in its words
	Keeping string // one sentence: how long receipts of delivered messages are kept

	AnonID      string // of the current identity; "" when nothing was ever recorded
	PrincipalID string // "" when it is not linked, or not yet
	Identities  []Identity

	FailingSince time.Time // when the present outage was noticed; zero when there is none
	LastError    string    // its reason

	Messages iter.Seq2[Message, error] // in the order of recording
}

// Counts are those of `usage inspect --json`.
type Counts struct{ Pending, Delivered, Dead, Dropped int }

// Line is a label and what is to be said about it.
type Line struct{ Label, Text string }

// Identity is a random id that this machine had, and whose it was found to be.
type Identity struct {
	AnonID, PrincipalID string    // PrincipalID is "" when it was never linked
	From, Until         time.Time // Until is zero for the current one
}

// State is what became of a message.
type State string

// The states, in the words of `usage inspect`.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// Message is an event or an alias.
type Message struct {
	Seq        int64
	UUID       string
	Alias      bool   // not a command's event: it says that two ids are one person
	Command    string // its dotted path
	Failed     bool
	Result     string // why it failed, in words
	Duration   time.Duration
	State      State
	Who        string // the distinct id; "" while undecided
	Anonymous  bool   // Who is a random id of this machine
	RecordedAt time.Time
	SettledAt  time.Time // zero while pending
	Note       string    // the last error
	// Wire returns the message as it goes over the wire. It is called for messages that are
	// shown only.
	Wire func() (json.RawMessage, error)
}

// Write writes the page. It returns an error of the messages, of a Wire, or of w, in which
// case what was written is no page.
func Write(w io.Writer, data Data) error {
	sums, err := add(data)
	if err != nil {
		return fmt.Errorf("read the messages: %w", err)
	}
	p := &page{now: data.Now}
	p.head(data)
	p.timeline(data, sums)
	p.commands(sums)
	p.owners(data, sums)
	if err := p.messages(sums); err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	p.foot(data)
	_, err = w.Write(p.Bytes())
	return err
}

// page is the file in the making.
type page struct {
	bytes.Buffer
	now time.Time
}

func (p *page) add(parts ...string) {
	for _, part := range parts {
		p.WriteString(part)
	}
}
