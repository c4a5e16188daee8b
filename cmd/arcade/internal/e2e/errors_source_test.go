package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// repository is its top directory, as seen from here.
const repository = "../../../.."

// unprovoked are sentences that the table leaves out, and why.
var unprovoked = map[string]string{
	"another program has logged in or out meanwhile":                   "the tests of package identity let one do so",
	"the credentials file was made by a newer program, or is damaged":  "the tests of contexts have such files",
	"another process has been renewing the login for too long":         "it takes longer than a renewal may",
	"it is not known which Engine belongs to this login: it is one at": "the table names the Engine with --host",
	"this installation has no Arcade Cloud that knows its":             "the tests of contexts have one",
	"does not accept the login that it has just made":                  "the stand-in of Arcade Cloud does",
	"no Engine that this credential may go to":                         "the commands word it, by what was named",
	"no description of an installation":                                "likewise",
	"is not yours alone, so its login is not used":                     "the tests of package identity give a file to somebody else",
	"your organization asks for a passkey or an authenticator app":     "the tests of passkeys have such an organization",
	"set it up in your Arcade account, then run 'arcade login' again":  "likewise",
	"interrupted": "Ctrl-C explains itself, and there is nothing to do about it",
	"standard input is a terminal and no file": "the tests of terminals have one",
}

// Who adds a sentence to the program meets it in the table, too, or says above why not.
func TestNoErrorIsMissingFromTheTable(t *testing.T) {
	var all strings.Builder
	for _, e := range encounters() {
		all.WriteString(e.says + "\n" + e.hint + "\n")
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

// errorSentences returns what the source says to people about what happened: in the calls that make failures, and
// in the files whose errors are shown as they are. Those of package secrets stand in its own tests.
func errorSentences(t *testing.T) (sentences []string) {
	t.Helper()
	for _, name := range sourceFiles(t, "cmd/arcade/internal/cli") {
		inspectSource(t, name, func(node ast.Node) {
			for _, says := range whatOfFailure(node) {
				inspectLiterals(says, func(text string) { sentences = append(sentences, fixedParts(text)...) })
			}
		})
	}
	for _, name := range []string{"identity/address.go", "cmd/arcade/internal/track/key.go"} {
		inspectSource(t, name, func(node ast.Node) {
			if literal, ok := node.(*ast.BasicLit); ok {
				inspectLiterals(literal, func(text string) { sentences = append(sentences, fixedParts(text)...) })
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

// sourceFiles returns the Go files of a folder of the repository.
func sourceFiles(t *testing.T, folder string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if !strings.HasSuffix(path, "_test.go") {
			names = append(names, folder+"/"+filepath.Base(path))
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
	for _, part := range regexp.MustCompile(`%(\[\d\])?[a-z]`).Split(format, -1) {
		if part = strings.Trim(part, " .:;,'"); strings.Count(part, " ") > 1 || part == "interrupted" {
			parts = append(parts, part)
		}
	}
	return parts
}
