package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is how a run of characters looks: names of the picture's style sheet.
type style struct {
	bold, faint bool
	colour      string // "" is the terminal's own
}

// span is a run of characters in one style.
type span struct {
	column int // of its first character
	text   string
	style  style
}

// line is one line of the screen, left to right, without the blanks between its words.
type line []span

// colours are the SGR codes that our program uses, and those with which tmux takes colour and
// background back.
var colours = [...]struct {
	code int
	name string
}{{31, "red"}, {32, "green"}, {33, "yellow"}, {36, "cyan"}, {39, ""}, {49, ""}}

// read takes a screen apart. Every character counts as one column wide. An escape sequence or
// a colour that is not known is an error: it would be missing in the picture.
func read(screen string, columns int) ([]line, error) {
	var lines []line
	var now style // tmux lets a style go on over the end of a line
	for number, text := range strings.Split(strings.TrimRight(screen, " \n"), "\n") {
		l, err := readLine(text, &now)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		if end := l.width(); end > columns {
			return nil, fmt.Errorf("line %d has %d columns, the terminal %d", number+1, end, columns)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func readLine(text string, now *style) (line, error) {
	var l line
	column := 0
	for text != "" {
		if parameters, rest, ok := cutEscape(text); ok {
			if err := now.apply(parameters); err != nil {
				return nil, err
			}
			text = rest
			continue
		}
		end := strings.IndexByte(text, '\x1b')
		if end < 0 {
			end = len(text)
		}
		if end == 0 {
			return nil, errors.New("an escape sequence that sets no style")
		}
		if strings.ContainsFunc(text[:end], unicode.IsControl) || !utf8.ValidString(text[:end]) {
			return nil, errors.New("a control character, or not UTF-8")
		}
		l = append(l, words(text[:end], column, *now)...)
		column += utf8.RuneCountInString(text[:end])
		text = text[end:]
	}
	return l, nil
}

// cutEscape cuts a sequence ESC [ parameters m off the beginning.
func cutEscape(text string) (parameters, rest string, ok bool) {
	text, ok = strings.CutPrefix(text, "\x1b[")
	if !ok {
		return "", "", false
	}
	parameters, rest, ok = strings.Cut(text, "m")
	return parameters, rest, ok && strings.Trim(parameters, "0123456789;") == ""
}

// apply changes the style by the parameters of an SGR sequence.
func (s *style) apply(parameters string) error {
	for parameter := range strings.SplitSeq(parameters, ";") {
		code, _ := strconv.Atoi(parameter) // an empty one means 0
		switch code {
		case 0:
			*s = style{}
		case 1:
			s.bold = true
		case 2:
			s.faint = true
		case 22:
			s.bold, s.faint = false, false
		default:
			if err := s.paint(code); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *style) paint(code int) error {
	for _, c := range colours {
		if c.code == code {
			s.colour = c.name
			return nil
		}
	}
	return fmt.Errorf("the style %d is not known here: add it to the colours and the style sheet", code)
}

// words splits a text at two blanks and more, so that each piece can be drawn at its own
// column: fonts differ in width, and a table's columns must stand all the same.
func words(text string, column int, s style) []span {
	var list []span
	for text != "" {
		piece, rest, _ := strings.Cut(text, "  ")
		trimmed := strings.TrimLeft(piece, " ")
		if start := column + len(piece) - len(trimmed); strings.TrimSpace(trimmed) != "" {
			list = append(list, span{start, strings.TrimRight(trimmed, " "), s})
		}
		column += utf8.RuneCountInString(text[:len(text)-len(rest)])
		text = rest
	}
	return list
}

func (l line) width() int {
	if len(l) == 0 {
		return 0
	}
	last := l[len(l)-1]
	return last.column + utf8.RuneCountInString(last.text)
}
