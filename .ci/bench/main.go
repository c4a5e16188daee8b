// Command bench measures whole processes: bin/arcade beside what a user would pick instead. `make bench-process` builds
// them and runs it; docs/performance.md has the result.
//
// All programs of a table run in turn, because a machine's speed changes while it is measured: read what is added
// to the floor, and its ratio. CPU counts detached processes, too, which only Linux lends to the program that measures.
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
	"strings"
	"time"
)

// contender is a program of a table and what it took.
type contender struct {
	name, program string
	args, env     []string
	floor         *contender // what it is compared with
	home          string
	wall, cpu     []time.Duration // cpu is of all processes, detached ones included
	peak          []time.Duration // bytes
}

// rivals are the ways to record an event. For arcade the command does next to nothing but being recorded.
func rivals() []*contender {
	floor := &contender{name: "cobra", program: "cobra"}
	list := []*contender{floor}
	for _, program := range []string{"line", "row", "bolt", "child", "posthog"} {
		list = append(list, &contender{name: "cobra, " + program, program: program, floor: floor})
	}
	logout := []string{"logout"}
	off := &contender{name: "arcade, tracking off", program: "arcade", args: logout, env: []string{"ARCADE_USAGE_TRACKING=0"}, floor: floor}
	return append(list, off, &contender{name: "**arcade**", program: "arcade", args: logout, floor: off})
}

func main() {
	runs := flag.Int("n", 300, "how often each program runs")
	flag.Parse()
	for _, server := range []string{"healthy", "refused", "hanging"} {
		check(printRivals(server, 1, *runs))
		if server != "hanging" { // some wait for a server that does not answer
			check(printRivals(server, 50, max(*runs/40, 3)))
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func printRivals(server string, inRow, rounds int) error {
	list := rivals()
	if err := run(server, inRow, rounds, list); err != nil {
		return err
	}
	fmt.Printf("\nPostHog %s, %d in a row, %d times\n\n", server, inRow, rounds)
	fmt.Println("| program | wall, median | p99 | added wall | to the floor | CPU, mean | added CPU | peak memory |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, c := range list {
		fmt.Printf("| %s | %s | %s |", c.name, ms(percentile(c.wall, 50)), ms(percentile(c.wall, 99)))
		if c.floor != nil {
			added, floor := percentile(minus(c.wall, c.floor.wall), 50), percentile(c.floor.wall, 50)
			fmt.Printf(" %s | %.2f | %s | %s |", ms(added), float64(floor+added)/float64(floor), ms(mean(c.cpu)), ms(mean(minus(c.cpu, c.floor.cpu))))
		} else {
			fmt.Printf(" | | %s | |", ms(mean(c.cpu)))
		}
		fmt.Printf(" %.1f MB |\n", float64(percentile(c.peak, 50))/1e6)
	}
	return nil
}

// run measures programs, each so many times in a row, again and again in turn.
func run(server string, inRow, rounds int, list []*contender) error {
	root, err := os.MkdirTemp("", "arcade-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	host, stop := startServer(server)
	defer stop()
	for i, c := range list {
		if c.home = filepath.Join(root, fmt.Sprint(i)); os.Mkdir(c.home, 0o700) != nil {
			return fmt.Errorf("%s cannot be made", c.home)
		}
	}
	for round := range 1 + rounds {
		for _, c := range list {
			if err := c.measure(host, inRow); err != nil {
				return fmt.Errorf("%s: %w", c.program, err)
			}
			if round == 0 { // it made the home's files
				c.wall, c.cpu, c.peak = nil, nil, nil
			}
		}
	}
	return nil
}

// measure runs the program under bin/meter, which waits for what it leaves behind.
func (c *contender) measure(host string, inRow int) error {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, "meter"), append([]string{fmt.Sprint(inRow), c.program}, c.args...)...)
	cmd.Dir = c.home
	event := `{"uuid":"01a21308-b607-73e6-98c2-000000000000","event":"CLI execution succeeded","properties":{"text":"` +
		strings.Repeat("x", 450) + `"}}`
	cmd.Env = append([]string{"HOME=" + c.home, "PATH=" + bin + ":" + os.Getenv("PATH"), "ARCADE_USAGE_HOST=" + host,
		"ARCADE_USAGE_KEY=phc_bench", "BENCH_HOST=" + host, "BENCH_EVENT=" + event}, c.env...)
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	var wall, cpu, peak time.Duration
	if err == nil {
		_, err = fmt.Sscan(string(printed), &wall, &cpu, &peak)
	}
	c.wall, c.cpu, c.peak = append(c.wall, wall/time.Duration(inRow)), append(c.cpu, cpu/time.Duration(inRow)), append(c.peak, peak)
	return err
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

func percentile(list []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// minus returns the differences of what was measured side by side.
func minus(list, floor []time.Duration) []time.Duration {
	differences := slices.Clone(list)
	for i := range differences {
		differences[i] -= floor[i]
	}
	return differences
}

// mean is for CPU: a process that is started now and then has to count.
func mean(list []time.Duration) (sum time.Duration) {
	for _, d := range list {
		sum += d
	}
	return sum / time.Duration(len(list))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }
