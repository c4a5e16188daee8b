package term

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Wrap breaks a text at blanks to leave indent columns of the terminal free. For a program it changes nothing.
func (s *Stream) Wrap(text string, indent int) string {
	if !s.Interactive {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = wrapLine(line, s.Width-indent, 0)
	}
	return strings.Join(lines, "\n")
}

// wrapLine breaks a line at blanks to fit into width; further lines are indented by hang characters. A wider word
// stays whole, to be copied; go-pretty would cut it and join the lines behind it.
func wrapLine(line string, width, hang int) string {
	var out strings.Builder
	used, begun := 0, false // blanks at the start stay with the word behind them
	for i, word := range strings.Split(line, " ") {
		wide := text.StringWidthWithoutEscSequences(word)
		switch {
		case i == 0:
		case begun && used+1+wide > width:
			out.WriteString("\n" + strings.Repeat(" ", hang))
			used = hang
		default:
			out.WriteByte(' ')
			used++
		}
		out.WriteString(word)
		used += wide
		begun = begun || word != ""
	}
	return out.String()
}

// A second column that is less than narrow wide hardly fits a word: its text begins on the next line, at below.
const narrow, below = 20, 10

// Reflow breaks a plain text at blanks to fit into width, in characters. Paragraphs and the items of lists are
// filled. Other indented text keeps its lines; a line in two columns, two blanks or more apart, continues below its
// second one.
func Reflow(text string, width int) string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\t", "  "), "\n") {
		if last := len(lines) - 1; last >= 0 && continues(lines[last], line) {
			lines[last] += " " + strings.TrimLeft(line, " ")
		} else {
			lines = append(lines, line)
		}
	}
	for i, line := range lines {
		content := strings.TrimLeft(line, " ")
		indent := len(line) - len(content)
		column := strings.Index(content, "  ")
		switch {
		case indent == 0 && !isItem(content):
			lines[i] = wrapLine(line, width, 0)
		case column < 0 || isItem(content):
			lines[i] = wrapLine(line, width, indent+2)
		default:
			second := strings.TrimLeft(content[column:], " ")
			if hang := len(line) - len(second); width-hang >= narrow {
				lines[i] = wrapLine(line, width, hang)
			} else {
				lines[i] = line[:indent+column] + "\n" + wrapLine(strings.Repeat(" ", below)+second, width, below)
			}
		}
	}
	return strings.Join(lines, "\n")
}

// continues reports whether a line continues the paragraph or list item before it.
func continues(before, line string) bool {
	content := strings.TrimLeft(before, " ")
	indent := len(before) - len(content)
	if isItem(content) {
		indent += 2
	} else if indent > 0 {
		return false
	}
	rest := strings.TrimLeft(line, " ")
	return content != "" && rest != "" && len(line)-len(rest) == indent && !isItem(rest)
}

func isItem(content string) bool { return strings.HasPrefix(content, "- ") }
