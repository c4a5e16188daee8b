package term

import (
	"fmt"
	"strings"
)

// Progress is a line that is written over. On anything but a terminal it stays silent.
type Progress struct {
	out   *Stream // nil for silence
	total int
	width int
}

// Progress begins to count to total. Nothing is shown where shown is false.
func (s *Stream) Progress(total int, shown bool) *Progress {
	p := &Progress{total: total, width: min(s.Width, 80)}
	if shown && s.Rewrites {
		p.out = s
	}
	return p
}

// Show says how many are done.
func (p *Progress) Show(done int) {
	if p.out == nil {
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
	if p != nil && p.out != nil {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width-1))
	}
}
