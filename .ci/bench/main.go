// Command bench measures whole processes of bin/arcade beside the least that a program can do and beside what a
// user would pick instead, and prints tables. `make bench-process` builds what it needs and runs it.
//
// All programs of a table run in turn, because a machine's speed changes while it is measured: read what is added
// to the floor, and its ratio. CPU counts detached processes, too, which only Linux lends to whoever measures.
package main

import (
	"cmp"
	"database/sql"
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

	_ "modernc.org/sqlite"
)

// contender is a program of a table and what it took.
type contender struct {
	name, program string
	args, env     []string
	floor         string // the name of what it is compared with
	waiting       int    // messages in its queue from the beginning
	home          string
	wall, cpu     []time.Duration // cpu is of all processes, detached ones included
	peak          []time.Duration // bytes
}

var (
	off     = []string{"ARCADE_USAGE_TRACKING=0"}
	keeping = []string{"ARCADE_USAGE_KEY="} // recorded, and no flusher is ever due
)

// The command does next to nothing but being recorded.
func arcade(name string, env []string, waiting int, floor string) contender {
	return contender{name: name, program: "arcade", args: []string{"logout"}, env: env, waiting: waiting, floor: floor}
}

func starting() []contender {
	return []contender{
		{name: "an empty Go program", program: "empty"},
		{name: "an empty cobra program", program: "cobra", args: []string{"--version"}, floor: "an empty Go program"},
		{name: "arcade --version", program: "arcade", args: []string{"--version"}, floor: "an empty cobra program"},
	}
}

func rivals() []contender {
	list := []contender{{name: "cobra", program: "cobra"}}
	for _, program := range []string{"line", "row", "bolt", "child", "posthog"} {
		list = append(list, contender{name: "cobra, " + program, program: program, floor: "cobra"})
	}
	return append(list, arcade("arcade, tracking off", off, 0, "cobra"), arcade("**arcade**", nil, 0, "arcade, tracking off"))
}

// growth is what a command pays for what others have left in the queue, up to its cap.
func growth() (list []contender) {
	for _, n := range []int{0, 1_000, 10_000, 90_000, 100_000} {
		name := fmt.Sprintf("behind %d, tracking off", n)
		list = append(list, arcade(name, off, n, ""), arcade(fmt.Sprintf("behind %d", n), keeping, n, name))
	}
	return list
}

// crowds are 200 commands at once.
func crowds() []contender {
	const script = `for n in $(seq 200); do arcade logout & done; wait`
	crowd := func(name string, env []string, floor string) contender {
		return contender{name: name, program: "sh", args: []string{"-c", script}, env: env, floor: floor}
	}
	return []contender{crowd("200 at once, tracking off", off, ""), crowd("200 at once", keeping, "200 at once, tracking off")}
}

// backlog is what an outage of weeks has left, in one flusher's life.
func backlog() []contender {
	drain := contender{name: "100,000 delivered", program: "arcade", args: []string{"usage", "flush", "--timeout", "60s"}, waiting: 100_000}
	return []contender{drain}
}

func main() {
	runs := flag.Int("n", 300, "how often each command runs")
	only := flag.String("only", "", "start, rivals, growth, crowds or backlog; all of them without it")
	flag.Parse()
	err := run("start", *only, "healthy", 1, *runs, starting())
	for _, server := range []string{"healthy", "refused", "hanging"} {
		err = cmp.Or(err, run("rivals", *only, server, 1, *runs, rivals()))
		if server != "hanging" { // some wait for a server that does not answer
			err = cmp.Or(err, run("rivals", *only, server, 50, max(*runs/40, 3), rivals()))
		}
	}
	err = cmp.Or(err, run("growth", *only, "refused", 1, *runs, growth()), run("crowds", *only, "refused", 1, max(*runs/30, 5), crowds()),
		run("backlog", *only, "healthy", 1, 1, backlog()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run measures a table, each program so many times in a row, again and again in turn.
func run(table, only, server string, inRow, rounds int, list []contender) error {
	if only != "" && only != table {
		return nil
	}
	root, err := os.MkdirTemp("", "arcade-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	host, stop := startServer(server)
	defer stop()
	for i := range list {
		list[i].home = filepath.Join(root, fmt.Sprint(i))
		if err := list[i].prepare(host); err != nil {
			return err
		}
	}
	for range rounds {
		for i := range list {
			if err := list[i].measure(host, inRow); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\n%s: PostHog %s, %d in a row, %d times\n\n", table, server, inRow, rounds)
	fmt.Println("| program | wall, median | p99 | added wall | to the floor | CPU, mean | added CPU | peak memory |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, c := range list {
		fmt.Printf("| %s | %s | %s |", c.name, ms(percentile(c.wall, 50)), ms(percentile(c.wall, 99)))
		if at := slices.IndexFunc(list, func(floor contender) bool { return floor.name == c.floor }); at >= 0 {
			added, floor := percentile(minus(c.wall, list[at].wall), 50), percentile(list[at].wall, 50)
			addedCPU := mean(minus(c.cpu, list[at].cpu))
			fmt.Printf(" %s | %.2f | %s | %s |", ms(added), float64(floor+added)/float64(floor), ms(mean(c.cpu)), ms(addedCPU))
		} else {
			fmt.Printf(" | | %s | |", ms(mean(c.cpu)))
		}
		fmt.Printf(" %.1f MB |\n", float64(percentile(c.peak, 50))/1e6)
	}
	return nil
}

// prepare makes the home, by a first command, and the queue.
func (c *contender) prepare(host string) error {
	if err := os.Mkdir(c.home, 0o700); err != nil {
		return err
	}
	first := *c
	if c.program == "arcade" || c.program == "sh" {
		first = arcade("", keeping, 0, "")
		first.home = c.home
	}
	if err := first.measure(host, 1); err != nil || c.waiting == 0 {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.home, ".arcade", "usage.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO messages (uuid, kind, event, anon_id, distinct_id, properties, recorded_at)
		SELECT printf('01a21308-b607-73e6-98c2-%012x', i), kind, event, anon_id, distinct_id, properties, recorded_at
		FROM messages, n WHERE seq = 1`, c.waiting)
	return err
}

// measure runs the program under bin/meter, which waits for what it leaves behind.
func (c *contender) measure(host string, inRow int) error {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	path := bin + ":" + os.Getenv("PATH")
	cmd := exec.Command(filepath.Join(bin, "meter"), append([]string{fmt.Sprint(inRow), c.program}, c.args...)...)
	cmd.Dir = c.home
	event := `{"uuid":"01a21308-b607-73e6-98c2-000000000000","event":"CLI execution succeeded","properties":{"text":"` +
		strings.Repeat("x", 450) + `"}}`
	cmd.Env = append([]string{"HOME=" + c.home, "PATH=" + path, "ARCADE_USAGE_HOST=" + host, "ARCADE_USAGE_KEY=phc_bench",
		"BENCH_HOST=" + host, "BENCH_EVENT=" + event}, c.env...)
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
