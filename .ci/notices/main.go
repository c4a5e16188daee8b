// Command notices prints the licences of Go and of each module that has a package in the program, on any system:
// those beside the package and above it, up to the module's root. Every artefact of a release has them.
package main

import (
	"encoding/json"
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

// linked is a package as `go list` shows it.
type linked struct {
	Dir, Root string
	Standard  bool
	Module    struct {
		Path, Version, Dir string
		Main               bool
	}
}

func run(out io.Writer) error {
	modules := map[string]map[string]string{} // "path version": licences by their names
	for _, system := range []string{"linux", "darwin", "windows"} {
		cmd := exec.Command("go", "list", "-deps", "-json=Dir,Root,Standard,Module", "-tags", "nethttpomithttp2", "./cmd/arcade")
		cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		list, err := cmd.Output()
		if err != nil {
			return err
		}
		for documents := json.NewDecoder(strings.NewReader(string(list))); documents.More(); {
			var p linked
			if err := documents.Decode(&p); err != nil {
				return err
			}
			name, root := p.Module.Path+" "+p.Module.Version, p.Module.Dir
			if p.Standard { // what it carries along has the same licence
				name, root, p.Dir = "The Go standard library", p.Root, p.Root
			}
			if modules[name] == nil && !p.Module.Main {
				modules[name] = map[string]string{}
			}
			for directory := p.Dir; strings.HasPrefix(directory, root) && !p.Module.Main; directory = filepath.Dir(directory) {
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
