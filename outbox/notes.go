package outbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Given counts the commands whose messages were not recorded, and those for which no flusher could be
// started or a started one failed before it could deliver.
type Given struct {
	Up          int // both; 1 where the disk had no room for more than an empty file
	NotStarted  int // of these, those that were recorded
	Since, Last time.Time
	// Reason is that of the last one in fixed words, or "" when it is not known.
	Reason string
}

const (
	noteAge     = 7 * 24 * time.Hour
	notRecorded = "not-recorded"
	notStarted  = "not-started"
)

func (o *Outbox) notePath() string { return o.cfg.Path + ".notes" }

// GivenUp returns what was given up within the last week. Clear, Disable and Forget erase it.
func (o *Outbox) GivenUp() (g Given) {
	info, err := os.Lstat(o.notePath())
	if err != nil || !info.Mode().IsRegular() || o.cfg.Now().Sub(info.ModTime()) > noteAge {
		return g
	}
	content, _ := os.ReadFile(o.notePath())
	for line := range strings.Lines(string(content)) {
		var at int64
		var kind string
		if _, err := fmt.Sscan(line, &at, &kind); err != nil { // cut off by a full disk
			continue
		}
		if g.Last = time.UnixMilli(at).UTC(); g.Up == 0 {
			g.Since = g.Last
		}
		g.Up++
		if kind == notStarted {
			g.NotStarted++
		}
		_, g.Reason, _ = strings.Cut(strings.TrimSpace(line), kind+" ")
	}
	if g.Up == 0 {
		return Given{Up: 1, Since: info.ModTime().UTC(), Last: info.ModTime().UTC()}
	}
	return g
}

// note adds a line to the notes of what was given up. It is best effort: the cause may prevent that, too.
func (o *Outbox) note(kind string, err, cause error) {
	if errors.Is(err, ErrOff) || errors.Is(err, ErrNoMain) {
		return
	}
	line := fmt.Sprintf("%d %s ", o.cfg.Now().UnixMilli(), kind)
	if cause != nil {
		line += cause.Error()
	}
	store.AddNote(o.notePath(), line)
}

// forgetNotes deletes the notes, and the two files in which earlier versions kept them.
func (o *Outbox) forgetNotes() {
	_ = store.Remove(o.cfg.Path, ".notes", ".not-recorded", ".not-started")
}
