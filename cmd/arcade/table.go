package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is one column of a table.
type column struct {
	title  string
	right  bool // numbers
	drop   int  // when the terminal is narrow the highest goes first; 0 stays
	shrink bool // its cells are cut before the column goes
}

// minCell is the width, in characters, below which a cut cell says nothing.
const minCell = 12

// printTable prints rows as a table that fits the terminal.
func printTable(w io.Writer, title string, columns []column, rows [][]string, t terminal) {
	columns, rows = fit(columns, rows, t)
	out := table.NewWriter()
	out.SetStyle(plainStyle(t))
	if title != "" {
		out.SetTitle(title)
	}
	out.AppendHeader(cells(titles(columns)))
	for _, row := range rows {
		out.AppendRow(cells(row))
	}
	out.SetColumnConfigs(alignments(columns))
	width := rowWidth(columns, rows)
	for line := range strings.Lines(out.Render()) {
		fmt.Fprintln(w, trimmed(line, width))
	}
}

// trimmed is a line without the blanks behind the last column, which would wrap, and the rule
// below the header without its part below them.
func trimmed(line string, width int) string {
	line = strings.TrimRight(line, " \n")
	if runes := []rune(line); strings.Trim(line, "─-") == "" && len(runes) > width {
		return string(runes[:width])
	}
	return line
}

func alignments(columns []column) []table.ColumnConfig {
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		configs[i] = table.ColumnConfig{Number: i + 1, Align: text.AlignLeft}
		if c.right {
			configs[i].Align = text.AlignRight
			configs[i].AlignHeader = text.AlignRight
		}
	}
	return configs
}

// printTSV prints rows for a pipe: tab-separated, no title, nothing shortened.
func printTSV(w io.Writer, columns []column, rows [][]string) error {
	lines := []string{strings.Join(titles(columns), "\t")}
	for _, row := range rows {
		lines = append(lines, strings.Join(row, "\t"))
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

func plainStyle(t terminal) table.Style {
	style := table.StyleDefault
	if t.unicode {
		style = table.StyleLight
	}
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	style.Format.Header = text.FormatDefault
	style.Title.Align = text.AlignLeft
	return style
}

// fit cuts or leaves out columns until a row has room on the terminal.
func fit(columns []column, rows [][]string, t terminal) ([]column, [][]string) {
	columns, rows = withoutEmpty(columns, rows)
	for {
		over := rowWidth(columns, rows) - t.width
		last := mostDispensable(columns)
		if over <= 0 || last < 0 {
			return columns, rows
		}
		room := columnWidth(columns, rows, last) - over
		if columns[last].shrink && room >= minCell {
			return columns, cutColumn(rows, last, room, t)
		}
		columns, rows = withoutColumn(columns, rows, last)
	}
}

// mostDispensable returns the index of the column that goes first, -1 if all stay.
func mostDispensable(columns []column) int {
	found := -1
	for i, c := range columns {
		if c.drop > 0 && (found < 0 || c.drop > columns[found].drop) {
			found = i
		}
	}
	return found
}

// withoutEmpty leaves out the columns that say nothing and need not stay.
func withoutEmpty(columns []column, rows [][]string) ([]column, [][]string) {
	for i := len(columns) - 1; i >= 0; i-- {
		says := func(row []string) bool { return row[i] != "" }
		if columns[i].drop > 0 && !slices.ContainsFunc(rows, says) {
			columns, rows = withoutColumn(columns, rows, i)
		}
	}
	return columns, rows
}

// rowWidth counts the two blanks between columns.
func rowWidth(columns []column, rows [][]string) int {
	total := 2 * (len(columns) - 1)
	for i := range columns {
		total += columnWidth(columns, rows, i)
	}
	return total
}

func columnWidth(columns []column, rows [][]string, i int) int {
	width := text.StringWidthWithoutEscSequences(columns[i].title) // text.StringWidth would link half a megabyte of tables for graphemes
	for _, row := range rows {
		width = max(width, text.StringWidthWithoutEscSequences(row[i]))
	}
	return width
}

func cutColumn(rows [][]string, i, width int, t terminal) [][]string {
	list := make([][]string, len(rows))
	for j, row := range rows {
		list[j] = slices.Clone(row)
		list[j][i] = t.clip(row[i], width)
	}
	return list
}

func withoutColumn(columns []column, rows [][]string, i int) ([]column, [][]string) {
	list := make([][]string, len(rows))
	for j, row := range rows {
		list[j] = slices.Delete(slices.Clone(row), i, i+1)
	}
	return slices.Delete(slices.Clone(columns), i, i+1), list
}

// wrap breaks each line of a text at blanks so that it fits the terminal. Words that are wider
// stay whole, to be copied; go-pretty would cut them and join lines behind them.
func wrap(s string, width int) string {
	var out strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		used := 0
		for j, word := range strings.Split(line, " ") {
			wide := text.StringWidthWithoutEscSequences(word)
			switch {
			case j == 0:
			case used+1+wide > width:
				out.WriteByte('\n')
				used = 0
			default:
				out.WriteByte(' ')
				used++
			}
			out.WriteString(word)
			used += wide
		}
	}
	return out.String()
}

func titles(columns []column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.title
	}
	return list
}

func cells(row []string) table.Row {
	list := make(table.Row, len(row))
	for i, cell := range row {
		list[i] = cell
	}
	return list
}
