//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// patience bounds how long a contender and what it leaves behind run altogether beside one server: some
// wait for a server that does not answer.
const patience = 90 * time.Second

// contender is a program of the comparison, together with what it took.
type contender struct {
	name        string
	program     string
	args        []string
	environment []string
	floor       *contender // what it is compared with: the same without recording
	records     bool
	home        string
	readings    []reading
	counts      calls
	spent       time.Duration
}

// contenders returns what a user would pick instead of arcade, and arcade.
func contenders() (list []*contender) {
	add := func(floor *contender, name, program string) *contender {
		c := &contender{name: name, program: program, floor: floor, records: true}
		list = append(list, c)
		return c
	}
	empty := add(nil, "an empty program", "empty")
	cobra := add(empty, "an empty cobra program", "cobra")
	add(cobra, "cobra, a JSON line, fsync", "line")
	add(cobra, bareRow, "row")
	add(cobra, "cobra, one bbolt commit", "bolt")
	add(cobra, "cobra, a detached child per event", "child")
	add(cobra, "cobra, posthog-go in process", "posthog")
	silent := add(cobra, "arcade, tracking off", "arcade")
	silent.args, silent.environment = []string{"logout"}, off
	empty.records, cobra.records, silent.records = false, false, false
	recording := add(silent, "**arcade, tracking on**", "arcade")
	recording.args = silent.args
	return list
}

const bareRow = "cobra, one row in modernc SQLite"

// rivals runs everybody in turn beside three servers: one command at a time, and scripts of 50.
func (b *bench) rivals() error {
	if runtime.GOOS != "linux" {
		fmt.Fprintln(b.out, "\nOnly Linux lends detached processes to whoever measures: here they are missing from CPU and memory.")
	}
	for _, server := range []string{"healthy", "refused", "hanging"} {
		host, stop, err := startServer(server)
		if err != nil {
			return err
		}
		err = b.compareBeside(server, host, 1, b.runs)
		if err == nil && server != "hanging" {
			err = b.compareBeside(server, host, 50, max(b.runs/40, 3))
		}
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// compareBeside runs each contender a number of times in a row, again and again in turn.
func (b *bench) compareBeside(server, host string, inRow, rounds int) error {
	root, err := os.MkdirTemp("", "arcade-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	list := contenders()
	for i, c := range list {
		c.home = filepath.Join(root, fmt.Sprint(i))
		if err := os.Mkdir(c.home, 0o700); err != nil {
			return err
		}
		if _, err := b.meter(c.command(b.bin, host), 1); err != nil { // makes the database
			return err
		}
	}
	for range rounds {
		for _, c := range list {
			if c.spent > patience {
				continue
			}
			start := time.Now()
			r, err := b.meter(c.command(b.bin, host), inRow)
			if err != nil {
				return err
			}
			c.readings, c.spent = append(c.readings, r), c.spent+time.Since(start)
		}
	}
	if inRow == 1 {
		for _, c := range list {
			if c.counts, err = trace(c.command(b.bin, host)); err != nil {
				return err
			}
		}
	}
	b.tableOf(server, inRow, list)
	return nil
}

func (c *contender) command(bin, host string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, c.program), c.args...)
	cmd.Dir = c.home
	cmd.Env = append([]string{"HOME=" + c.home, "PATH=" + os.Getenv("PATH"), "ARCADE_USAGE_HOST=" + host,
		"ARCADE_USAGE_KEY=phc_bench", "BENCH_HOST=" + host, "BENCH_EVENT=" + event()}, c.environment...)
	return cmd
}

// event is as large as one of arcade's on the wire.
func event() string {
	m := message()
	return fmt.Sprintf(`{"uuid":%q,"event":%q,"distinct_id":%q,"timestamp":%q,"properties":%s}`,
		m.UUID, m.Event, m.DistinctID, m.RecordedAt.Format(time.RFC3339Nano), m.Properties)
}

// startServer starts a PostHog that answers, refuses connections, or takes them and never answers.
func startServer(kind string) (host string, stop func(), err error) {
	switch kind {
	case "refused":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		return "http://" + l.Addr().String(), func() {}, l.Close()
	default:
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if kind == "hanging" {
				<-r.Context().Done()
				return
			}
			io.WriteString(w, `{"status":"Ok"}`)
		}))
		return s.URL, func() { s.CloseClientConnections(); s.Close() }, nil
	}
}

// tableOf prints what each contender added to its floor.
func (b *bench) tableOf(server string, inRow int, list []*contender) {
	what := "one command at a time"
	if inRow > 1 {
		what = fmt.Sprintf("scripts of %d commands, per command", inRow)
	}
	fmt.Fprintf(b.out, "\nPostHog %s, %s\n\n", server, what)
	fmt.Fprintln(b.out, "| program | n | wall | to empty cobra | added wall | to the bare row | CPU with children | added CPU | of it in front | system calls | syncs | written | peak memory |")
	fmt.Fprintln(b.out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	cobra := list[slices.IndexFunc(list, func(c *contender) bool { return c.program == "cobra" })]
	row := list[slices.IndexFunc(list, func(c *contender) bool { return c.name == bareRow })]
	per := time.Duration(inRow)
	for _, c := range list {
		fmt.Fprintf(b.out, "| %s | %d | %s | %.2f |", c.name, len(c.readings), ms(c.wall().median()/per), c.wall().ratio(cobra.wall()))
		if c.records {
			fmt.Fprintf(b.out, " %s | %.2f |", ms(c.added()/per), float64(c.added())/float64(row.added()))
		} else {
			fmt.Fprint(b.out, " | |")
		}
		fmt.Fprintf(b.out, " %s |", ms(mean(c.cpu())/per))
		if c.records {
			fmt.Fprintf(b.out, " %s | %s |", ms(mean(c.cpu().minus(c.floor.cpu()))/per), ms(mean(c.inFront().minus(c.floor.inFront()))/per))
		} else {
			fmt.Fprint(b.out, " | |")
		}
		fmt.Fprintf(b.out, " %s | %s | %.0f kB | %.1f MB |\n", c.counts.all, c.counts.syncs, c.written()/float64(inRow)/1e3, c.peak())
	}
}

func (c *contender) wall() sample {
	return c.pick(func(r reading) time.Duration { return r.wall })
}

// cpu is that of all processes, detached ones included.
func (c *contender) cpu() sample {
	return c.pick(func(r reading) time.Duration { return r.cpu })
}

// inFront is the CPU of what the user waits for.
func (c *contender) inFront() sample {
	return c.pick(func(r reading) time.Duration { return r.own })
}

func (c *contender) pick(value func(reading) time.Duration) (s sample) {
	for _, r := range c.readings {
		s = append(s, value(r))
	}
	return s
}

// added is what a contender adds to the wall time of its floor, side by side.
func (c *contender) added() time.Duration { return c.wall().minus(c.floor.wall()).median() }

func (c *contender) written() float64 {
	sum := int64(0)
	for _, r := range c.readings {
		sum += r.written
	}
	return float64(sum) / float64(len(c.readings))
}

func (c *contender) peak() float64 {
	var peaks []int64
	for _, r := range c.readings {
		peaks = append(peaks, r.peak)
	}
	slices.Sort(peaks)
	return float64(peaks[len(peaks)/2]) / 1e6
}

// mean is for CPU: a process that is started now and then has to count.
func mean(s sample) (sum time.Duration) {
	for _, d := range s {
		sum += d
	}
	return sum / time.Duration(len(s))
}

// calls is what strace counts, as text, because there may be no strace.
type calls struct{ all, syncs string }

// trace counts the system calls of a command and of all that it starts.
func trace(cmd *exec.Cmd) (calls, error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return calls{"no strace", "no strace"}, nil
	}
	summary, err := os.CreateTemp("", "arcade-bench")
	if err != nil {
		return calls{}, err
	}
	defer os.Remove(summary.Name())
	defer summary.Close()
	cmd.Args = append([]string{"strace", "-f", "-c", "-o", summary.Name(), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = path
	if err := cmd.Run(); err != nil {
		return calls{}, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	content, err := io.ReadAll(summary)
	if err != nil {
		return calls{}, err
	}
	all, syncs := 0, 0
	for line := range strings.Lines(string(content)) {
		var share, seconds float64
		var each, n int
		if _, err := fmt.Sscan(line, &share, &seconds, &each, &n); err != nil {
			continue // the head and its rules
		}
		switch name := line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:]; strings.TrimSpace(name) {
		case "total":
			all = n
		case "fsync", "fdatasync", "sync_file_range", "msync":
			syncs += n
		}
	}
	return calls{fmt.Sprint(all), fmt.Sprint(syncs)}, nil
}
