package term

import (
	"fmt"
	"strings"
)

// Progress is a line that is written over; nil is silent.
type Progress struct {
	out          *Stream
	total, width int
}

// Progress begins to count to total. It is silent where shown is false, and on anything but a terminal.
func (s *Stream) Progress(total int, shown bool) *Progress {
	if !shown || !s.Rewrites {
		return nil
	}
	return &Progress{s, total, min(s.Width, 80)}
}

// Show says how many are done.
func (p *Progress) Show(done int) {
	if p == nil {
		return
	}
	done = min(done, p.total)
	label := fmt.Sprintf(" %d of %d", done, p.total)
	cells := max(p.width-len(label)-3, 1)
	full := cells * done / max(p.total, 1)
	fmt.Fprintf(p.out, "\r[%s%s]%s", strings.Repeat("#", full), strings.Repeat(".", cells-full), label)
}

// Wipe takes the line away.
func (p *Progress) Wipe() {
	if p != nil {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width-1))
	}
}
