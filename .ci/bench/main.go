//go:build unix

// Command bench measures whole processes of bin/arcade and prints a table. `make bench-process`
// builds what it needs and runs it; docs/performance.md says what the figures mean.
//
// Everything is compared in turn with something else within the same run, because a machine's
// speed changes while it is measured: tracking on with tracking off, arcade with an empty
// program.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	b := bench{out: os.Stdout}
	flag.StringVar(&b.bin, "bin", "bin", "where arcade and the yardsticks are")
	flag.IntVar(&b.runs, "n", 300, "how often each command runs")
	flag.IntVar(&b.crowd, "crowd", 200, "how many commands make a crowd")
	flag.IntVar(&b.backlog, "backlog", 100_000, "how many messages make a backlog")
	flag.BoolVar(&b.onlyRivals, "rivals", false, "nothing but the comparison with what a user would pick instead")
	flag.BoolVar(&b.onlyGrowth, "growth", false, "nothing but recording behind queues of different lengths")
	flag.Parse()
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// bench holds what every measurement needs.
type bench struct {
	out                  *os.File
	bin                  string
	runs, crowd, backlog int
	onlyRivals           bool
	onlyGrowth           bool
}

func (b *bench) run() error {
	var err error
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	measures := []func() error{
		b.head,
		b.floors, b.startUp, b.recording, b.growth, b.longWAL, b.spawning, b.crowds, b.memory, b.backlogs, b.size, b.rivals,
	}
	switch {
	case b.onlyRivals:
		measures = []func() error{b.rivals}
	case b.onlyGrowth:
		measures = []func() error{b.head, b.growth}
	}
	for _, measure := range measures {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// head prints the table's head. CPU is a process's own time, in user and kernel, which a busy
// machine lengthens less than the time on the wall.
func (b *bench) head() error {
	_, err := fmt.Fprintf(b.out, "| what | wall, median | wall, p99 | CPU, median | besides |\n|---|---|---|---|---|\n")
	return err
}

func (b *bench) line(what string, s series, besides string, args ...any) {
	cpu := ""
	if len(s.cpu) > 0 {
		cpu = ms(s.cpu.median())
	}
	fmt.Fprintf(b.out, "| %s | %s | %s | %s | %s |\n", what, ms(s.wall.median()), ms(s.wall.percentile(99)), cpu, fmt.Sprintf(besides, args...))
}

// note prints a figure that is no time.
func (b *bench) note(what, figure string, args ...any) {
	fmt.Fprintf(b.out, "| %s | | | | %s |\n", what, fmt.Sprintf(figure, args...))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }
