// Command mutate changes one place of a package at a time and runs the package's own tests: a mutant that
// survives is behaviour that no test of the package holds. `make mutate` runs it; the tree is not touched.
//
// Kinds: a comparison (== and !=, < and <=, > and >= in turn); a condition turned round; a call or an
// assignment left out; `return err` that returns nil; + and - in turn; a number that is one larger. Log lines
// and the named points where tests stop a process are left out, and so is what does not compile.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
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

// mutant is a text in place of source.
type mutant struct {
	at   token.Position
	end  int // offset of what follows
	text string
	kind string
}

func main() {
	pattern := flag.String("package", "./secrets", "the packages to mutate")
	n := flag.Int("n", 40, "how many mutants of each package")
	seed := flag.Uint64("seed", 1, "chooses the mutants")
	flag.Parse()
	if err := run(*pattern, *n, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(pattern string, n int, seed uint64) error {
	list, err := exec.Command("go", "list", "-json=Dir,ImportPath,GoFiles,TestGoFiles,XTestGoFiles", pattern).Output()
	if err != nil {
		return fmt.Errorf("go list %s: %w", pattern, err)
	}
	for documents := json.NewDecoder(strings.NewReader(string(list))); documents.More(); {
		var p pkg
		if err := documents.Decode(&p); err != nil {
			return err
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 {
			if err := p.mutate(n, rand.New(rand.NewPCG(seed, seed))); err != nil {
				return fmt.Errorf("%s: %w", p.ImportPath, err)
			}
		}
	}
	return nil
}

// pkg is a package as `go list` shows it, with a directory for what is built.
type pkg struct {
	Dir, ImportPath                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	work                               string
}

func (p *pkg) mutate(n int, random *rand.Rand) (err error) {
	if p.work, err = os.MkdirTemp("", "mutate-*"); err != nil {
		return err
	}
	defer os.RemoveAll(p.work)
	profile := filepath.Join(p.work, "cover")
	start := time.Now()
	if out, err := p.command("go", "test", "-count=1", "-coverprofile", profile, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("the tests fail without a mutant:\n%s", out)
	}
	patience := 3*time.Since(start) + 10*time.Second
	covered, err := os.ReadFile(profile)
	if err != nil {
		return err
	}
	var candidates []mutant
	for _, name := range p.GoFiles {
		found, err := mutants(filepath.Join(p.Dir, name))
		if err != nil {
			return err
		}
		candidates = append(candidates, found...)
	}
	random.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	killed, tried := 0, 0
	for _, m := range candidates {
		if tried == n {
			break
		}
		verdict, err := p.try(m, isUncovered(string(covered), m.at), patience)
		if err != nil {
			return err
		}
		if verdict == "" { // does not compile
			continue
		}
		tried++
		if verdict == "killed" {
			killed++
		}
		fmt.Printf("%s: %s:%d:%d: %s\n", verdict, filepath.Base(m.at.Filename), m.at.Line, m.at.Column, m.kind)
	}
	fmt.Printf("%s: %d of %d mutants killed, %d places\n", p.ImportPath, killed, tried, len(candidates))
	return nil
}

func (p *pkg) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = p.Dir
	return cmd
}

// try returns how the package's tests take a mutant, "" for one that does not compile.
func (p *pkg) try(m mutant, uncovered bool, patience time.Duration) (verdict string, err error) {
	source, err := os.ReadFile(m.at.Filename)
	if err != nil {
		return "", err
	}
	changed, overlay, tests := filepath.Join(p.work, "mutant.go"), filepath.Join(p.work, "overlay.json"), filepath.Join(p.work, "tests")
	replaced, err := json.Marshal(map[string]map[string]string{"Replace": {m.at.Filename: changed}})
	if err != nil {
		return "", err
	}
	text := slices.Concat(source[:m.at.Offset], []byte(m.text), source[m.end:])
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replaced, 0o600); err != nil {
		return "", err
	}
	if p.command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", tests, ".").Run() != nil {
		return "", nil
	}
	if uncovered {
		return "survived, no test comes here", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tests, "-test.failfast")
	cmd.Dir, cmd.WaitDelay = p.Dir, time.Second
	if cmd.Run() != nil { // also one that takes too long
		return "killed", nil
	}
	return "survived", nil
}

var block = regexp.MustCompile(`(?m)^(\S+):(\d+)\.(\d+),(\d+)\.(\d+) \d+ (\d+)$`)

// isUncovered looks a place up in a cover profile, which has no word on constants and the conditions of cases.
func isUncovered(profile string, at token.Position) bool {
	for _, b := range block.FindAllStringSubmatch(profile, -1) {
		number := func(i int) int { value, _ := strconv.Atoi(b[i]); return value }
		after := at.Line > number(2) || at.Line == number(2) && at.Column >= number(3)
		before := at.Line < number(4) || at.Line == number(4) && at.Column < number(5)
		if number(6) == 0 && after && before && filepath.Base(b[1]) == filepath.Base(at.Filename) {
			return true
		}
	}
	return false
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
	text := func(node ast.Node) string {
		return string(source[set.Position(node.Pos()).Offset:set.Position(node.End()).Offset])
	}
	add := func(from, to token.Pos, text, kind string) {
		found = append(found, mutant{set.Position(from), set.Position(to).Offset, text, kind})
	}
	replace := func(node ast.Node, with string) { add(node.Pos(), node.End(), with, text(node)+" -> "+with) }
	leaveOut := func(node ast.Node) { add(node.Pos(), node.End(), "", "without "+strings.Split(text(node), "\n")[0]) }
	negate := func(condition ast.Expr) {
		if condition != nil {
			replace(condition, "!("+text(condition)+")")
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if other, ok := others[node.Op]; ok {
				add(node.OpPos, node.OpPos+token.Pos(len(node.Op.String())), other, text(node)+" with "+other)
			}
		case *ast.IfStmt:
			negate(node.Cond)
		case *ast.ForStmt:
			negate(node.Cond)
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
