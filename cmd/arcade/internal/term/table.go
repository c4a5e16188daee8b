package term

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is one column of a table.
type Column struct {
	Title string
	Right bool // aligned to the right, as numbers are
	Drop  int  // the highest goes first when the terminal is narrow; 0 stays
	// Shrink cuts its cells before it goes and, if it stays and is the widest, when no column is left to go.
	Shrink bool
}

// minCell is the width, in characters, below which a cut cell is of no use.
const minCell = 12

// Table prints rows as a table that fits the terminal. Columns that say nothing are left out.
func (s *Stream) Table(title string, columns []Column, rows [][]string) error {
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		configs[i] = table.ColumnConfig{Number: i + 1}
		if c.Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	w := filled(columns, rows)
	w.SetStyle(s.style())
	w.SuppressEmptyColumns()
	w.SuppressTrailingSpaces()
	w.SetColumnConfigs(configs)
	rendered := w.Render()
	for over := text.LongestLineLen(rendered) - s.Width; over > 0; over = text.LongestLineLen(rendered) - s.Width {
		i := mostDispensable(columns, rows, configs)
		if i < 0 {
			break
		}
		room := cellWidth(columns, rows, i) - over
		if columns[i].Drop == 0 {
			room = max(room, minCell)
		}
		if columns[i].Shrink && configs[i].WidthMax == 0 && room >= minCell {
			configs[i].WidthMax, configs[i].WidthMaxEnforcer = room, s.Clip
		} else {
			configs[i].Hidden = true
		}
		w.SetColumnConfigs(configs)
		rendered = w.Render()
	}
	if title != "" {
		rendered = title + "\n" + rendered
	}
	_, err := fmt.Fprintln(s, rendered)
	return err
}

// TSV prints rows for a program: tab-separated, nothing shortened. Without columns it has no
// header.
func (s *Stream) TSV(columns []Column, rows [][]string) error {
	_, err := io.WriteString(s, filled(columns, rows).RenderTSV()+"\n")
	return err
}

// filled is a table whose cells are each on one line.
func filled(columns []Column, rows [][]string) table.Writer {
	w := table.NewWriter()
	w.Style().Format.Header = text.FormatDefault
	if columns != nil {
		titles := make(table.Row, len(columns))
		for i, c := range columns {
			titles[i] = c.Title
		}
		w.AppendHeader(titles)
	}
	for _, row := range rows {
		cells := make(table.Row, len(row))
		for i, cell := range row {
			cells[i] = strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(cell)
		}
		w.AppendRow(cells)
	}
	return w
}

// style draws a rule below the header and nothing else.
func (s *Stream) style() table.Style {
	style := table.StyleDefault
	if s.Unicode {
		style = table.StyleLight
	}
	rule := style.Box.MiddleHorizontal
	style.Options = table.Options{SeparateHeader: true, SeparateColumns: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", ""
	style.Box.MiddleVertical, style.Box.MiddleSeparator = "  ", rule+rule
	style.Format.Header = text.FormatDefault
	return style
}

// mostDispensable returns the index of the column to drop first, else of the widest that can be cut, else -1.
func mostDispensable(columns []Column, rows [][]string, configs []table.ColumnConfig) int {
	found := -1
	for i, c := range columns {
		if c.Drop == 0 && (!c.Shrink || configs[i].WidthMax > 0) || configs[i].Hidden {
			continue
		}
		if found < 0 || c.Drop > columns[found].Drop ||
			c.Drop == 0 && columns[found].Drop == 0 && cellWidth(columns, rows, i) >= cellWidth(columns, rows, found) {
			found = i
		}
	}
	return found
}

func cellWidth(columns []Column, rows [][]string, i int) int {
	width := text.StringWidthWithoutEscSequences(columns[i].Title)
	for _, row := range rows {
		width = max(width, text.StringWidthWithoutEscSequences(row[i]))
	}
	return width
}
