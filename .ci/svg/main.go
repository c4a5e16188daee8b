// Command svg draws what stands on a terminal, as `tmux capture-pane -e -p` prints it, as an
// SVG picture. .ci/pictures calls it.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run reads a screen from in and writes its picture to out. It returns the exit code.
func run(args []string, in io.Reader, out, errors io.Writer) int {
	flags := flag.NewFlagSet("svg", flag.ContinueOnError)
	flags.SetOutput(errors)
	columns := flags.Int("columns", 80, "width of the terminal in characters")
	title := flags.String("title", "", "what the picture shows, for those who cannot see it")
	if flags.Parse(args) != nil || flags.NArg() > 0 || *columns < 1 || *title == "" {
		fmt.Fprintln(errors, "usage: svg -columns N -title TEXT < screen > picture.svg")
		return 2
	}
	screen, err := io.ReadAll(in)
	if err == nil {
		var lines []line
		if lines, err = read(string(screen), *columns); err == nil {
			err = draw(out, lines, *columns, *title)
		}
	}
	if err != nil {
		fmt.Fprintln(errors, "svg:", err)
		return 1
	}
	return 0
}
