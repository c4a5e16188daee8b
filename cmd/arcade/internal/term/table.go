package term

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is one column of a table.
type Column struct {
	Title string
	Right bool // aligned to the right, as numbers are
	Drop  int  // on a narrow terminal the column with the highest number is dropped first; 0 is never dropped
	// Shrink cuts the cells before the column is dropped. Columns that are never dropped are cut last, the widest first.
	Shrink bool
}

// minCell is the least width of a cut cell, in characters: a shorter one says too little.
const minCell = 12

// Table prints rows as a table that fits the terminal. Empty columns are left out.
func (s *Stream) Table(title string, columns []Column, rows [][]string) error {
	configs, widths, order := make([]table.ColumnConfig, len(columns)), make([]int, len(columns)), []int(nil)
	for i, c := range columns {
		configs[i].Number = i + 1
		if c.Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		widths[i] = text.StringWidthWithoutEscSequences(c.Title)
		for _, row := range rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(row[i]))
		}
		if c.Drop > 0 || c.Shrink {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int { // in which they are cut or dropped
		return cmp.Or(columns[j].Drop-columns[i].Drop, widths[j]-widths[i])
	})
	w := filled(columns, rows)
	w.SetStyle(s.style())
	w.SuppressEmptyColumns()
	w.SuppressTrailingSpaces()
	w.SetColumnConfigs(configs)
	rendered := w.Render()
	for _, i := range order {
		over := text.LongestLineLen(rendered) - s.Width
		if over <= 0 {
			break
		}
		room := widths[i] - over
		if columns[i].Drop == 0 {
			room = max(room, minCell)
		}
		if columns[i].Shrink && room >= minCell {
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
