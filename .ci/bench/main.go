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

// contender is a program of a table, and what its runs took.
type contender struct {
	name, command, env string
	floor              int // the row that it is compared with
	runs               []usage
}

// usage is what a run took: the wall time and the CPU of each command in ns, and the peak memory in bytes.
type usage struct{ wall, cpu, peak float64 }

// contenders are the ways to record an event. For arcade the command does next to nothing but being recorded.
func contenders() []*contender {
	return []*contender{
		{name: "cobra", command: "cobra"},
		{name: "cobra, line", command: "line"},
		{name: "cobra, row", command: "row"},
		{name: "cobra, bolt", command: "bolt"},
		{name: "cobra, child", command: "child"},
		{name: "cobra, posthog", command: "posthog"},
		{name: "arcade, tracking off", command: "arcade logout", env: "ARCADE_USAGE_TRACKING=0"},
		{name: "**arcade**", command: "arcade logout", floor: 6},
	}
}

func main() {
	runs := flag.Int("n", 300, "how often each program runs")
	flag.Parse()
	for _, server := range []string{"healthy", "refused", "hanging"} {
		compare(server, 1, *runs)
		if server != "hanging" { // some wait for a server that does not answer
			compare(server, 50, max(*runs/40, 3))
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// compare measures the contenders, each so many times in a row, again and again in turn, and prints the table. The first
// round makes the files of the homes.
func compare(server string, inRow, rounds int) {
	root, err := os.MkdirTemp("", "arcade-bench")
	check(err)
	defer os.RemoveAll(root)
	host, stop := startServer(server)
	defer stop()
	list := contenders()
	for range 1 + rounds {
		for i, c := range list {
			c.runs = append(c.runs, c.measure(filepath.Join(root, strconv.Itoa(i)), host, inRow))
		}
	}
	fmt.Printf("\nPostHog %s, %d in a row, %d times\n\n", server, inRow, rounds)
	fmt.Println("| program | wall, median | added wall | CPU, mean | added CPU | peak memory |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, c := range list {
		c.print(list[c.floor])
	}
}

// measure runs the program under bin/meter, which waits for what it leaves behind.
func (c *contender) measure(home, host string, inRow int) (took usage) {
	bin, err := filepath.Abs("bin")
	check(err)
	check(os.MkdirAll(home, 0o700))
	cmd := exec.Command(filepath.Join(bin, "meter"), append([]string{strconv.Itoa(inRow)}, strings.Fields(c.command)...)...)
	event := `{"uuid":"01a21308-b607-73e6-98c2-000000000000","event":"CLI execution succeeded","properties":{"text":"` +
		strings.Repeat("x", 450) + `"}}`
	cmd.Env = []string{"HOME=" + home, "PATH=" + bin + ":" + os.Getenv("PATH"), "ARCADE_USAGE_HOST=" + host,
		"ARCADE_USAGE_KEY=phc_bench", "BENCH_HOST=" + host, "BENCH_EVENT=" + event, c.env}
	cmd.Dir, cmd.Stderr = home, os.Stderr
	printed, err := cmd.Output()
	check(err)
	_, err = fmt.Sscan(string(printed), &took.wall, &took.cpu, &took.peak)
	check(err)
	took.wall /= float64(inRow)
	took.cpu /= float64(inRow)
	return took
}

// print prints a line of the table. CPU is a mean: a process that is started now and then has to count.
func (c *contender) print(floor *contender) {
	var wall, added, peak []float64
	var cpu, addedCPU float64
	for i, run := range c.runs[1:] {
		from := floor.runs[1:][i]
		wall, added, peak = append(wall, run.wall), append(added, run.wall-from.wall), append(peak, run.peak)
		cpu += run.cpu
		addedCPU += run.cpu - from.cpu
	}
	inMS := float64(len(wall)) * 1e6
	fmt.Printf("| %s | %.2f ms | %.2f ms | %.2f ms | %.2f ms | %.1f MB |\n",
		c.name, median(wall)/1e6, median(added)/1e6, cpu/inMS, addedCPU/inMS, median(peak)/1e6)
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
