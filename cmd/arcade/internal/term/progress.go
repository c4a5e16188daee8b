package term

import (
	"fmt"
	"strings"
)

// Progress is a progress bar on one line, which each Show overwrites; nil is silent.
type Progress struct {
	out          *Stream
	total, width int
}

// Progress makes a progress bar that counts to total. It is silent unless shown, and on anything but a terminal.
func (s *Stream) Progress(total int, shown bool) *Progress {
	if !shown || !s.Rewrites {
		return nil
	}
	return &Progress{s, total, min(s.Width, 80)}
}

// Show draws the bar with so many done.
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

// Wipe clears the line.
func (p *Progress) Wipe() {
	if p != nil {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width-1))
	}
}
