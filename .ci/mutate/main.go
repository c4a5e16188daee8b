// Command mutate changes one place of a package at a time and runs the package's own tests: a mutant that
// survives is behaviour that no test of the package holds. `make mutate` runs it; the tree is not touched.
//
// Kinds: a comparison (== and !=, < and <=, > and >= in turn); a condition turned round; a call or an
// assignment left out; `return err` that returns nil; + and - in turn; a number that is one larger. Log lines
// and the named points where tests stop a process are left out, and so is what does not compile.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	directory := flag.String("package", "./secrets", "the directory of the package to mutate")
	n := flag.Int("n", 40, "how many mutants")
	seed := flag.Uint64("seed", 1, "chooses the mutants")
	flag.Parse()
	pkg, err := build.ImportDir(*directory, 0)
	check(err)
	var places []mutant
	for _, name := range pkg.GoFiles {
		places = append(places, mutants(filepath.Join(*directory, name))...)
	}
	scratch, err := os.MkdirTemp("", "mutate")
	check(err)
	defer os.RemoveAll(scratch)
	start := time.Now()
	if out, err := test(*directory); err != nil {
		panic("the tests fail without a mutant:\n" + out)
	}
	patience := 3*time.Since(start) + 10*time.Second
	killed, tried := 0, 0
	for _, i := range rand.New(rand.NewPCG(*seed, *seed)).Perm(len(places)) {
		if tried == *n {
			break
		}
		m, verdict := places[i], "survived"
		out, err := test(*directory, "-overlay", m.write(scratch), "-timeout", patience.String())
		if strings.Contains(out, "[build failed]") {
			continue
		}
		if err != nil { // also one that takes too long
			verdict = "killed"
			killed++
		}
		tried++
		fmt.Printf("%s: %s:%d:%d: %s\n", verdict, filepath.Base(m.at.Filename), m.at.Line, m.at.Column, m.change)
	}
	fmt.Printf("%d of %d mutants killed, %d places\n", killed, tried, len(places))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func test(directory string, flags ...string) (out string, err error) {
	cmd := exec.Command("go", append([]string{"test", "-count=1", "-failfast", "-vet=off"}, flags...)...)
	cmd.Dir = directory
	content, err := cmd.CombinedOutput()
	return string(content), err
}

// mutant is a text in place of source.
type mutant struct {
	at     token.Position
	source []byte // of the file with the mutant in it
	change string
}

// write writes the mutant, and returns the overlay by which the compiler reads it in place of its file.
func (m mutant) write(scratch string) (overlay string) {
	path, err := filepath.Abs(m.at.Filename)
	check(err)
	mutated, overlay := filepath.Join(scratch, "mutant.go"), filepath.Join(scratch, "overlay.json")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	check(err)
	check(os.WriteFile(mutated, m.source, 0o600))
	check(os.WriteFile(overlay, replaced, 0o600))
	return overlay
}

var others = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.ADD: "-", token.SUB: "+",
}

var logging = regexp.MustCompile(`(?i)\b(log|logf|debug|printf?|point)\(`)

// mutants returns those of a file.
func mutants(path string) (found []mutant) {
	source, err := os.ReadFile(path)
	check(err)
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	check(err)
	text := func(node ast.Node) string {
		return string(source[set.Position(node.Pos()).Offset:set.Position(node.End()).Offset])
	}
	replace := func(node ast.Node, with string) {
		from, to := set.Position(node.Pos()), set.Position(node.End())
		mutated := slices.Concat(source[:from.Offset], []byte(with), source[to.Offset:])
		found = append(found, mutant{from, mutated, fmt.Sprintf("%.80q -> %.80q", text(node), with)})
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if other, ok := others[node.Op]; ok {
				replace(node, text(node.X)+" "+other+" "+text(node.Y))
			}
		case *ast.IfStmt:
			replace(node.Cond, "!("+text(node.Cond)+")")
		case *ast.ForStmt:
			if node.Cond != nil {
				replace(node.Cond, "!("+text(node.Cond)+")")
			}
		case *ast.ExprStmt:
			if logging.MatchString(text(node)) {
				return false
			}
			replace(node, "")
		case *ast.AssignStmt:
			if node.Tok != token.DEFINE {
				replace(node, "")
			}
		case *ast.ReturnStmt:
			if last := len(node.Results) - 1; last >= 0 && text(node.Results[last]) == "err" {
				replace(node.Results[last], "nil")
			}
		case *ast.BasicLit:
			if value, err := strconv.Atoi(node.Value); node.Kind == token.INT && err == nil {
				replace(node, strconv.Itoa(value+1))
			}
		}
		return true
	})
	return found
}
