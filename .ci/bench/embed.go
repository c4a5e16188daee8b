package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cost builds programs, each as a module of its own, runs those that record with tracking on and off in turn, and
// prints what they get. Their server refuses connections.
func cost(runs int) error {
	scratch, err := os.MkdirTemp("", "cost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	fmt.Println("| a program with | lines in `go.mod` | modules linked | MB | ms of an event |\n|---|---|---|---|---|")
	for i, p := range []struct{ row, source string }{
		{"net/http, JSON and modernc's SQLite", ".ci/bench/sqlite"},
		{"outbox and httpsink", "outbox/example"}, {"outbox and posthog", ".ci/bench/outbox"},
	} {
		dir := filepath.Join(scratch, fmt.Sprint(i))
		lines, err := build(dir, filepath.FromSlash(p.source))
		if err != nil {
			return err
		}
		program := filepath.Join(dir, "program")
		info, err := os.Stat(program)
		if err != nil {
			return err
		}
		linked, err := buildinfo.ReadFile(program)
		if err != nil {
			return err
		}
		added := ""
		if strings.HasPrefix(p.row, "outbox") {
			off, on := &contender{program: program, env: []string{"DO_NOT_TRACK=1"}}, &contender{program: program}
			if err := run("refused", 1, runs, []*contender{off, on}); err != nil {
				return err
			}
			added = fmt.Sprintf("%.1f", percentile(minus(on.wall, off.wall), 50).Seconds()*1000)
		}
		fmt.Printf("| %s | %d | %d | %.2f | %s |\n", p.row, lines, len(linked.Deps), float64(info.Size())/1e6, added)
	}
	return nil
}

// build builds the program in dir, stripped, as a module with the versions of this repository's go.mod. It returns
// how many modules its own go.mod names.
func build(dir, source string) (lines int, err error) {
	root, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	program, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		return 0, err
	}
	module, err := os.ReadFile("go.mod")
	if err != nil {
		return 0, err
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		return 0, err
	}
	const ours = "github.com/ArcadeAI/arcade-cli"
	module = bytes.Replace(module, []byte("module "+ours), []byte("module program"), 1)
	module = fmt.Appendf(module, "\nrequire %s v0.0.0\nreplace %s => %s\n", ours, ours, root)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	for name, content := range map[string][]byte{"main.go": program, "go.mod": module, "go.sum": sums} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return 0, err
		}
	}
	for _, args := range [][]string{{"mod", "tidy"}, {"build", "-trimpath", "-ldflags", "-s -w", "-o", "program", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("go %s for %s: %w\n%s", args[0], source, err, out)
		}
	}
	tidy, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return bytes.Count(tidy, []byte(" v")), err
}
