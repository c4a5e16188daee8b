package docstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every artefact of a release has this file: the licences ask for it.
func TestTheNoticesHaveTheLicencesOfAllThatIsLinked(t *testing.T) {
	path := filepath.Join(repository, "docs", "THIRD_PARTY_NOTICES.txt")
	want := notices(t)
	if os.Getenv("ARCADE_WRITE_NOTICES") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.ReplaceAll(readText(t, path), "\r\n", "\n"); got != want {
		t.Errorf("%s is not what the linked modules say: run `make notices`", path)
	}
	for name, text := range map[string]string{
		".goreleaser.yaml": "docs/THIRD_PARTY_NOTICES.txt", ".ci/Dockerfile": "THIRD_PARTY_NOTICES.txt",
	} {
		if !strings.Contains(readText(t, filepath.Join(repository, name)), text) {
			t.Errorf("%s does not ship the notices", name)
		}
	}
}

// notices gathers the licences of Go and of each module that has a package in the program, on any system:
// those beside the package and above it, up to the module's root.
func notices(t *testing.T) string {
	t.Helper()
	modules := map[string]map[string]bool{} // "path version": the licence files
	roots := map[string]string{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, p := range linked(t, system) {
			name, root := "", ""
			switch {
			case p.Standard:
				name, root = "The Go standard library", p.Root
			case !p.Module.Main:
				name, root = p.Module.Path+" "+p.Module.Version, p.Module.Dir
			default:
				continue
			}
			if modules[name] == nil {
				modules[name], roots[name] = map[string]bool{}, root
			}
			if p.Standard { // what it carries along has the same licence
				p.Dir = root
			}
			for directory := p.Dir; strings.HasPrefix(directory, root); directory = filepath.Dir(directory) {
				for _, file := range licences(t, directory) {
					modules[name][file] = true
				}
			}
		}
	}
	var text strings.Builder
	text.WriteString("arcade contains software of others, under these licences.\n")
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if len(modules[name]) == 0 {
			t.Errorf("%s has no licence file", name)
		}
		fmt.Fprintf(&text, "\n%s\n%s\n", strings.Repeat("=", 80), name)
		for _, file := range slices.Sorted(maps.Keys(modules[name])) {
			inside, err := filepath.Rel(roots[name], file)
			if err != nil {
				t.Fatal(err)
			}
			licence := strings.TrimSpace(strings.ReplaceAll(readText(t, file), "\r\n", "\n"))
			fmt.Fprintf(&text, "\n--- %s\n\n%s\n", filepath.ToSlash(inside), licence)
		}
	}
	return text.String()
}

var licence = regexp.MustCompile(`(?i)^([\w-]*(licen[cs]e|copyright|copying)[\w-]*|notice|patents)(\.(txt|md))?$`)

func licences(t *testing.T, directory string) (paths []string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() && licence.MatchString(entry.Name()) {
			paths = append(paths, filepath.Join(directory, entry.Name()))
		}
	}
	return paths
}

type linkedPackage struct {
	Dir, Root string
	Standard  bool
	Module    struct {
		Path, Version, Dir string
		Main               bool
	}
}

func linked(t *testing.T, system string) (list []linkedPackage) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Root,Standard,Module", "-tags", "nethttpomithttp2", "./cmd/arcade")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	for documents := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p linkedPackage
		if err := documents.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}
