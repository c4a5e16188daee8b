package term

import "strings"

// Reflow breaks a plain text at blanks to fit into width, in characters. Paragraphs are filled. Indented text
// keeps its lines; a line in two columns, two blanks or more apart, continues below its second one, an item of a
// list below its text.
func Reflow(text string, width int) string {
	var out strings.Builder
	lines := strings.Split(strings.ReplaceAll(text, "\t", "  "), "\n")
	for i := 0; i < len(lines); i++ {
		b := newBlock(lines[i])
		for b.includes(lines, i+1) {
			i++
			b.words = append(b.words, strings.Fields(lines[i])...)
		}
		b.print(&out, width)
		if i < len(lines)-1 {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// block is a line and those that continue it.
type block struct {
	first   string // the indentation, and the first of two columns
	hang    int    // where further lines begin
	words   []string
	columns bool // there are two
}

func newBlock(line string) block {
	content := strings.TrimLeft(line, " ")
	indent := len(line) - len(content)
	b := block{first: line[:indent], hang: indent, words: strings.Fields(content)}
	column := strings.Index(content, "  ")
	switch {
	case strings.HasPrefix(content, "- "):
		b.first, b.hang, b.words = b.first+"- ", indent+2, b.words[1:]
	case indent > 0 && column > 0:
		second := strings.TrimLeft(content[column:], " ")
		b.hang = len(line) - len(second)
		b.first, b.words, b.columns = line[:b.hang], strings.Fields(second), true
	case indent > 0:
		b.hang = indent + 2
	}
	return b
}

// includes reports whether the next line belongs to this block.
func (b block) includes(lines []string, next int) bool {
	if next == len(lines) || len(b.words) == 0 {
		return false
	}
	content := strings.TrimLeft(lines[next], " ")
	indent := len(lines[next]) - len(content)
	hangs := b.hang == 0 || len(b.first) == b.hang
	return content != "" && hangs && indent == b.hang
}

// In a second column less than narrow wide hardly a word fits: its text begins on the next line, at below.
const narrow, below = 20, 10

func (b block) print(out *strings.Builder, width int) {
	used := len(b.first)
	if b.columns && width-b.hang < narrow {
		b.hang = below
		b.first = strings.TrimRight(b.first, " ") + "\n" + strings.Repeat(" ", b.hang)
		used = b.hang
	}
	out.WriteString(b.first)
	for i, word := range b.words {
		switch {
		case i == 0:
		case used+1+len(word) > width:
			out.WriteString("\n" + strings.Repeat(" ", b.hang))
			used = b.hang
		default:
			out.WriteByte(' ')
			used++
		}
		out.WriteString(word)
		used += len(word)
	}
}
