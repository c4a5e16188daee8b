// Command mutate changes one place of a package at a time and runs the package's own tests: a mutant that
// survives is behaviour that no test of the package holds. `make mutate` runs it; the tree is not touched.
//
// Kinds: a comparison (== and !=, < and <=, > and >= in turn); a condition turned round; a call or an
// assignment left out; `return err` that returns nil; + and - in turn; a number that is one larger. Log lines
// and the named points where tests stop a process are left out, and so is what does not compile.
package main

import (
	"encoding/json"
	"errors"
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
	if err := run(*directory, *n, rand.New(rand.NewPCG(*seed, *seed))); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(directory string, n int, random *rand.Rand) error {
	pkg, err := build.ImportDir(directory, 0)
	if err != nil {
		return err
	}
	var candidates []mutant
	for _, name := range pkg.GoFiles {
		found, err := mutants(filepath.Join(directory, name))
		if err != nil {
			return err
		}
		candidates = append(candidates, found...)
	}
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	start := time.Now()
	if out, err := test(directory); err != nil {
		return fmt.Errorf("the tests fail without a mutant:\n%s", out)
	}
	patience := 3*time.Since(start) + 10*time.Second
	overlay := filepath.Join(scratch, "overlay.json")
	killed, tried := 0, 0
	for _, i := range random.Perm(len(candidates)) {
		if tried == n {
			break
		}
		m, verdict := candidates[i], "survived"
		if err := m.write(filepath.Join(scratch, "mutant.go"), overlay); err != nil {
			return err
		}
		out, err := test(directory, "-overlay", overlay, "-timeout", patience.String())
		switch {
		case strings.Contains(out, "[build failed]"):
			continue
		case err != nil: // also one that takes too long
			verdict = "killed"
			killed++
		}
		tried++
		fmt.Printf("%s: %s:%d:%d: %s\n", verdict, filepath.Base(m.at.Filename), m.at.Line, m.at.Column, m.kind)
	}
	fmt.Printf("%d of %d mutants killed, %d places\n", killed, tried, len(candidates))
	return nil
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
	kind   string
}

// write lets the compiler read the mutant in place of its file.
func (m mutant) write(mutated, overlay string) error {
	path, err := filepath.Abs(m.at.Filename)
	if err != nil {
		return err
	}
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	return errors.Join(err, os.WriteFile(mutated, m.source, 0o600), os.WriteFile(overlay, replaced, 0o600))
}

var others = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.ADD: "-", token.SUB: "+",
}

var logging = regexp.MustCompile(`(?i)\b(log|logf|debug|printf?|point)\(`)

// mutants returns those of a file.
func mutants(path string) (found []mutant, err error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	offset := func(at token.Pos) int { return set.Position(at).Offset }
	text := func(node ast.Node) string { return string(source[offset(node.Pos()):offset(node.End())]) }
	add := func(from, to token.Pos, with, kind string) {
		found = append(found, mutant{set.Position(from), slices.Concat(source[:offset(from)], []byte(with), source[offset(to):]), kind})
	}
	replace := func(node ast.Node, with string) { add(node.Pos(), node.End(), with, text(node)+" -> "+with) }
	leaveOut := func(node ast.Node) { add(node.Pos(), node.End(), "", "without "+strings.Split(text(node), "\n")[0]) }
	negate := func(condition ast.Expr) { replace(condition, "!("+text(condition)+")") }
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if other, ok := others[node.Op]; ok {
				add(node.OpPos, node.OpPos+token.Pos(len(node.Op.String())), other, text(node)+" with "+other)
			}
		case *ast.IfStmt:
			negate(node.Cond)
		case *ast.ForStmt:
			if node.Cond != nil {
				negate(node.Cond)
			}
		case *ast.ExprStmt:
			if logging.MatchString(text(node)) {
				return false
			}
			leaveOut(node)
		case *ast.AssignStmt:
			if node.Tok != token.DEFINE {
				leaveOut(node)
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
	return found, nil
}
