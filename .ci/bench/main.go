// Command bench measures whole processes: bin/arcade beside what a user would pick instead. `make bench-process` builds
// them and runs it; docs/performance.md has the result.
//
// All programs of a table run in turn, because a machine's speed changes while it is measured: read what is added
// to the floor. CPU counts detached processes, too, which only Linux lends to the program that measures.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// contender is a program of a table and what it took.
type contender struct {
	name    string
	command []string
	env     []string
	floor   *contender // what it is compared with
	runs    []measured
}

// measured is one run, in nanoseconds and bytes.
type measured struct{ wall, cpu, peak float64 }

// contenders are the ways to record an event. For arcade the command does next to nothing but being recorded.
func contenders() []*contender {
	floor := &contender{name: "cobra", command: []string{"cobra"}}
	floor.floor = floor
	list := []*contender{floor}
	for _, program := range []string{"line", "row", "bolt", "child", "posthog"} {
		list = append(list, &contender{name: "cobra, " + program, command: []string{program}, floor: floor})
	}
	logout := []string{"arcade", "logout"}
	off := &contender{name: "arcade, tracking off", command: logout, env: []string{"ARCADE_USAGE_TRACKING=0"}, floor: floor}
	return append(list, off, &contender{name: "**arcade**", command: logout, floor: off})
}

func main() {
	runs := flag.Int("n", 300, "how often each program runs")
	flag.Parse()
	for _, server := range []string{"healthy", "refused", "hanging"} {
		check(compare(server, 1, *runs))
		if server != "hanging" { // some wait for a server that does not answer
			check(compare(server, 50, max(*runs/40, 3)))
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare measures the contenders, each so many times in a row, again and again in turn, and prints the table.
func compare(server string, inRow, rounds int) error {
	root, err := os.MkdirTemp("", "arcade-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	host, stop := startServer(server)
	defer stop()
	list := contenders()
	for round := range 1 + rounds {
		for i, c := range list {
			took, err := c.measure(filepath.Join(root, strconv.Itoa(i)), host, inRow)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round > 0 { // the first one makes the home's files
				c.runs = append(c.runs, took)
			}
		}
	}
	fmt.Printf("\nPostHog %s, %d in a row, %d times\n\n", server, inRow, rounds)
	fmt.Println("| program | wall, median | added wall | CPU, mean | added CPU | peak memory |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, c := range list {
		c.print()
	}
	return nil
}

// measure runs the program under bin/meter, which waits for what it leaves behind.
func (c *contender) measure(home, host string, inRow int) (took measured, err error) {
	bin, err := filepath.Abs("bin")
	if err == nil {
		err = os.MkdirAll(home, 0o700)
	}
	if err != nil {
		return took, err
	}
	cmd := exec.Command(filepath.Join(bin, "meter"), append([]string{strconv.Itoa(inRow)}, c.command...)...)
	cmd.Dir = home
	event := `{"uuid":"01a21308-b607-73e6-98c2-000000000000","event":"CLI execution succeeded","properties":{"text":"` +
		strings.Repeat("x", 450) + `"}}`
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + bin + ":" + os.Getenv("PATH"), "ARCADE_USAGE_HOST=" + host,
		"ARCADE_USAGE_KEY=phc_bench", "BENCH_HOST=" + host, "BENCH_EVENT=" + event}, c.env...)
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err == nil {
		_, err = fmt.Sscan(string(printed), &took.wall, &took.cpu, &took.peak)
	}
	took.wall /= float64(inRow)
	took.cpu /= float64(inRow)
	return took, err
}

// print prints a line of the table. CPU is a mean: a process that is started now and then has to count.
func (c *contender) print() {
	var wall, added, peak []float64
	var cpu, addedCPU float64
	for i, run := range c.runs {
		floor := c.floor.runs[i]
		wall, added, peak = append(wall, run.wall), append(added, run.wall-floor.wall), append(peak, run.peak)
		cpu += run.cpu
		addedCPU += run.cpu - floor.cpu
	}
	runs := float64(len(c.runs))
	fmt.Printf("| %s | %.2f ms | %.2f ms | %.2f ms | %.2f ms | %.1f MB |\n",
		c.name, median(wall)/1e6, median(added)/1e6, cpu/runs/1e6, addedCPU/runs/1e6, median(peak)/1e6)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// startServer starts a PostHog that answers, refuses connections, or takes requests and never answers.
func startServer(kind string) (host string, stop func()) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if kind == "hanging" {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, `{"status":"Ok"}`)
	}))
	if kind == "refused" {
		s.Close()
	}
	return s.URL, func() { s.CloseClientConnections(); s.Close() }
}
