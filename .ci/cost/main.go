// Command cost measures what a program gets with an outbox: it writes programs into a scratch directory, each a
// module of its own, builds them, runs them in turn, and prints the table of docs/performance.md.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runs is how often each program runs.
const runs = 60

// program is one row of the table.
type program struct {
	name, row, imports, body string

	lines, modules int     // in go.mod, and linked
	size           float64 // MB, stripped
	took, off      []time.Duration
}

const record = `
func config() (outbox.Config, error) {
	return outbox.Config{Path: filepath.Join(os.Getenv("HOME"), "usage.db"), Sink: %s}, nil
}

func main() {
	outbox.Main(config)
	cfg, _ := config()
	box, err := outbox.New(cfg)
	if err != nil {
		panic(err)
	}
	box.Record(context.Background(), func(tx *outbox.Tx) error {
		return tx.Add(context.Background(), outbox.Message{Event: "ran", AnonID: "somebody"})
	})
}
`

// sqlite writes a row and posts it, which is what a program without an outbox would do.
const sqlite = `
func main() {
	if len(os.Args) < 2 {
		return
	}
	db, err := sql.Open("sqlite", os.Args[1])
	if err != nil {
		panic(err)
	}
	event, err := json.Marshal(os.Args)
	if err == nil {
		_, err = db.Exec("INSERT INTO messages VALUES (?)", event)
	}
	if err != nil {
		panic(err)
	}
	http.Post(os.Args[1], "application/json", bytes.NewReader(event))
}
`

// programs returns the rows. Their sinks send to where nothing listens.
func programs() []*program {
	const library = "\"context\"\n\"os\"\n\"path/filepath\"\n\"github.com/ArcadeAI/arcade-cli/outbox\"\n\"github.com/ArcadeAI/arcade-cli/outbox/"
	return []*program{
		{name: "empty", row: "nothing", body: "func main() {}"},
		{name: "http", row: "net/http", imports: `"net/http"`,
			body: `func main() { if len(os.Args) > 1 { http.Post(os.Args[1], "application/json", nil) } }`},
		{name: "sqlite", row: "net/http, JSON and modernc's SQLite", imports: "\"bytes\"\n\"database/sql\"\n\"encoding/json\"\n\"net/http\"\n_ \"modernc.org/sqlite\"",
			body: sqlite},
		{name: "httpsink", row: "outbox and httpsink", imports: library + `httpsink"`,
			body: fmt.Sprintf(record, `httpsink.New(httpsink.Config{URL: "http://127.0.0.1:1"})`)},
		{name: "posthog", row: "outbox and posthog", imports: library + `posthog"`,
			body: fmt.Sprintf(record, `posthog.New(posthog.Config{Host: "http://127.0.0.1:1", Key: "phc_x"})`)},
	}
}

func main() {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func measure() error {
	scratch, err := os.MkdirTemp("", "cost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	all := programs()
	for _, p := range all {
		if err := p.build(scratch); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	home := filepath.Join(scratch, "home")
	for range runs {
		for _, p := range all {
			if err := p.run(filepath.Join(scratch, p.name), filepath.Join(home, p.name)); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	fmt.Println("| a program with | lines in `go.mod` | modules linked | MB | ms of an event |\n|---|---|---|---|---|")
	for _, p := range all {
		added := "" // of those that record
		if strings.HasPrefix(p.row, "outbox") {
			added = fmt.Sprintf("%.1f", (median(p.took)-median(p.off)).Seconds()*1000)
		}
		fmt.Printf("| %s | %d | %d | %.2f | %s |\n", p.row, p.lines, p.modules, p.size, added)
	}
	return nil
}

// build makes a module with the versions of this repository's go.mod.
func (p *program) build(scratch string) error {
	dir := filepath.Join(scratch, p.name)
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	theirs, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		return err
	}
	imports := p.imports
	if !strings.Contains(imports, `"os"`) {
		imports += "\n\"os\""
	}
	source := "package main\n\nimport (\n" + imports + "\n)\n\nvar _ = os.Args\n\n" + p.body
	module := strings.Replace(string(theirs), "module github.com/ArcadeAI/arcade-cli", "module "+p.name, 1)
	if strings.Contains(imports, "ArcadeAI") {
		module += "\nrequire github.com/ArcadeAI/arcade-cli v0.0.0\nreplace github.com/ArcadeAI/arcade-cli => " + root + "\n"
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range map[string]string{"main.go": source, "go.mod": module, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if _, err := command(dir, "go", "mod", "tidy"); err != nil {
		return err
	}
	if _, err := command(dir, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "program", "."); err != nil {
		return err
	}
	tidy, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	p.lines = bytes.Count(tidy, []byte(" v"))
	linked, err := command(dir, "go", "version", "-m", "program")
	if err != nil {
		return err
	}
	p.modules = strings.Count(linked, "\tdep\t")
	info, err := os.Stat(filepath.Join(dir, "program"))
	if err == nil {
		p.size = float64(info.Size()) / 1e6
	}
	return err
}

// run runs the program twice, with and without tracking, so that what the machine does at this moment is in both.
func (p *program) run(dir, home string) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	for i, switched := range []string{"", "1"} {
		cmd := exec.Command(filepath.Join(dir, "program"))
		cmd.Env = []string{"HOME=" + home, "DO_NOT_TRACK=" + switched}
		began := time.Now()
		if err := cmd.Run(); err != nil {
			return err
		}
		if took := time.Since(began); i == 0 {
			p.took = append(p.took, took)
		} else {
			p.off = append(p.off, took)
		}
	}
	return nil
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
