// Command notices prints the licences of Go and of each module that has a package in the program, on any system:
// those beside the package and above it, up to the module's root. Every artefact of a release has them.
package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// origin prints of a package the name of what it belongs to, the root of that, and where it is itself. What the
// standard library carries along has its licence.
const origin = `{{if .Standard}}The Go standard library	{{.Root}}	{{.Root}}
	{{- else if not .Module.Main}}{{.Module.Path}} {{.Module.Version}}	{{.Module.Dir}}	{{.Dir}}{{end}}`

func run(out io.Writer) error {
	modules := map[string]map[string]string{} // licences by their names, by what they are of
	for _, system := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-deps", "-f", origin, "-tags", "nethttpomithttp2", "./cmd/arcade")
		cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		list, err := cmd.Output()
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(list)) {
			fields := strings.Split(strings.TrimSpace(line), "\t")
			if len(fields) != 3 { // our own
				continue
			}
			name, root := fields[0], fields[1]
			if modules[name] == nil {
				modules[name] = map[string]string{}
			}
			for directory := fields[2]; strings.HasPrefix(directory, root); directory = filepath.Dir(directory) {
				if err := gather(modules[name], root, directory); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintln(out, "arcade contains software of others, under these licences.")
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if len(modules[name]) == 0 {
			return fmt.Errorf("%s has no licence file", name)
		}
		fmt.Fprintf(out, "\n%s\n%s\n", strings.Repeat("=", 80), name)
		for _, file := range slices.Sorted(maps.Keys(modules[name])) {
			fmt.Fprintf(out, "\n--- %s\n\n%s\n", file, modules[name][file])
		}
	}
	return nil
}

var licence = regexp.MustCompile(`(?i)^([\w-]*(licen[cs]e|copyright|copying)[\w-]*|notice|patents)(\.(txt|md))?$`)

// gather adds the licences of a directory below root.
func gather(texts map[string]string, root, directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(directory, entry.Name())
		if entry.IsDir() || !licence.MatchString(entry.Name()) {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		inside := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		texts[inside] = strings.TrimSpace(strings.ReplaceAll(string(content), "\r\n", "\n"))
	}
	return nil
}
