package main

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is one column of a table.
type column struct {
	title  string
	right  bool // numbers
	dropAt int  // the width, in characters, below which the column is left out
}

// printTable prints rows as a table for a terminal of the given width. Cells that do not fit
// are cut with an ellipsis.
func printTable(w io.Writer, title string, columns []column, rows [][]string, width int) {
	columns, rows = fit(columns, rows, width)
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(plainStyle())
	if title != "" {
		t.SetTitle(title)
	}
	t.AppendHeader(cells(titles(columns)))
	for _, row := range rows {
		t.AppendRow(cells(row))
	}
	configs := make([]table.ColumnConfig, len(columns))
	for i, c := range columns {
		configs[i] = table.ColumnConfig{Number: i + 1, Align: text.AlignLeft}
		if c.right {
			configs[i].Align = text.AlignRight
			configs[i].AlignHeader = text.AlignRight
		}
	}
	t.SetColumnConfigs(configs)
	t.Style().Size.WidthMax = width
	t.Render()
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

func plainStyle() table.Style {
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	style.Format.Header = text.FormatDefault
	style.Title.Align = text.AlignLeft
	return style
}

// fit leaves out the columns that a narrow terminal has no room for.
func fit(columns []column, rows [][]string, width int) ([]column, [][]string) {
	var kept []column
	fitted := make([][]string, len(rows))
	for i, c := range columns {
		if width < c.dropAt {
			continue
		}
		kept = append(kept, c)
		for j, row := range rows {
			fitted[j] = append(fitted[j], row[i])
		}
	}
	return kept, fitted
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
