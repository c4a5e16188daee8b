package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unprovoked are sentences that the table leaves out, and why.
var unprovoked = map[string]string{
	"the name is not known":      "no test asks a name server; the tests of package secrets know one that fails",
	"it does not answer in time": "an attempt has half a minute; the tests of package secrets have a shorter one",
	"tracking is off":            "only if three commands meet within a moment: a flush, disable, enable",
	"interrupted":                "Ctrl-C explains itself, and there is nothing to do about it",
	"no such secret":             "a warning, and no failure",
}

// Who adds a sentence to the program meets it in the table, too, or says above why not.
func TestNoErrorIsMissingFromTheTable(t *testing.T) {
	var all strings.Builder
	for _, e := range encounters() {
		all.WriteString(e.says + "\n")
	}
	sentences := errorSentences(t)
	for _, sentence := range sentences {
		if _, excused := unprovoked[sentence]; !excused && !strings.Contains(all.String(), sentence) {
			t.Errorf("the program can say %q, and no user meets that in the table of errors", sentence)
		}
	}
	for sentence := range unprovoked {
		if !slices.Contains(sentences, sentence) {
			t.Errorf("the program never says %q, so it needs no excuse", sentence)
		}
	}
	if len(sentences) < 80 {
		t.Errorf("only %d sentences were found: the test does not see the source", len(sentences))
	}
}

// errorSentences returns what the source says to people about what happened: in the calls that
// make failures, and in the packages whose errors are shown as they are.
func errorSentences(t *testing.T) (sentences []string) {
	t.Helper()
	for _, name := range sourceFiles(t, "cmd/arcade") {
		inspectSource(t, name, func(node ast.Node) {
			for _, says := range whatOfFailure(node) {
				inspectLiterals(says, func(text string) { sentences = append(sentences, fixedParts(text)...) })
			}
		})
	}
	shown := []string{"identity/loginurl.go"}
	for _, name := range []string{"errors", "pairs", "dotenv", "baseurl"} {
		shown = append(shown, "secrets/"+name+".go")
	}
	for _, name := range shown {
		inspectSource(t, name, func(node ast.Node) {
			if literal, ok := node.(*ast.BasicLit); ok {
				inspectLiterals(literal, func(text string) {
					what, _, _ := strings.Cut(text, "; ") // the advice is the second line
					sentences = append(sentences, fixedParts(what)...)
				})
			}
		})
	}
	return sentences
}

// whatOfFailure returns the expression of what happened in a failure, if node makes one.
func whatOfFailure(node ast.Node) []ast.Expr {
	switch n := node.(type) {
	case *ast.CallExpr:
		name, _ := n.Fun.(*ast.Ident)
		switch {
		case name == nil:
		case name.Name == "failed":
			return n.Args[1:2]
		case name.Name == "wrongUsage":
			return n.Args[2:3]
		}
	case *ast.CompositeLit:
		if name, _ := n.Type.(*ast.Ident); name != nil && name.Name == "failure" {
			return n.Elts[2:3]
		}
	}
	return nil
}

// sourceFiles returns the Go files of a package of the product.
func sourceFiles(t *testing.T, folder string) (names []string) {
	t.Helper()
	for name := range productionImports(t) {
		if path.Dir(name) == folder {
			names = append(names, name)
		}
	}
	return names
}

func inspectSource(t *testing.T, name string, visit func(ast.Node)) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, name), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		visit(node)
		return true
	})
}

func inspectLiterals(node ast.Node, visit func(text string)) {
	ast.Inspect(node, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				visit(text)
			}
		}
		return true
	})
}

// fixedParts returns what stands between the verbs of a format, if it is more than two words.
func fixedParts(format string) (parts []string) {
	for _, part := range regexp.MustCompile(`%[a-z]`).Split(format, -1) {
		if part = strings.Trim(part, " .:'"); strings.Count(part, " ") > 1 || part == "interrupted" {
			parts = append(parts, part)
		}
	}
	return parts
}
