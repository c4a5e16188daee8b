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

// A new sentence of the program stands in testdata/errors, too, or here with the reason why not.
func TestNoErrorIsMissingFromTheTable(t *testing.T) {
	excused := map[string]string{
		"another program has logged in or out meanwhile":                  "the tests of package identity let one do so",
		"the credentials file was made by a newer program, or is damaged": "the tests of contexts have such files",
		"another process has been renewing the login for too long":        "it takes longer than a renewal may",
		"this installation has no Arcade Cloud to list its":               "the tests of contexts have one",
		"does not accept the login that it has just made":                 "the stand-in of Arcade Cloud does",
		"no Engine that this credential may go to":                        "the commands word it, by what was named",
		"no description of an installation":                               "likewise",
		"your organization asks for a passkey or an authenticator app":    "the tests of passkeys have such an organization",
		"set it up in your Arcade account, then run 'arcade login' again": "likewise",
		"standard input is a terminal and no file":                        "the tests of terminals have one",
	}
	var met strings.Builder
	for _, e := range encounters(t) {
		met.WriteString(e.says)
	}
	sentences := errorSentences(t)
	for _, sentence := range sentences {
		if excused[sentence] == "" && !strings.Contains(met.String(), sentence) {
			t.Errorf("the program can say %q, and no user meets that in the table of errors", sentence)
		}
	}
	for sentence := range excused {
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
	collect := func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, _ := strconv.Unquote(literal.Value) // which the parser has read
			sentences = append(sentences, fixedParts(text)...)
		}
		return true
	}
	shown := []string{"../../../../identity/address.go", "../track/key.go"}
	commands, _ := filepath.Glob("../cli/*.go")
	for _, path := range append(shown, commands...) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(shown, path) {
			ast.Inspect(file, collect)
			continue
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if says := whatOfFailure(node); says != nil {
				ast.Inspect(says, collect)
			}
			return true
		})
	}
	return sentences
}

// whatOfFailure returns the expression of what happened in a failure, if node makes one.
func whatOfFailure(node ast.Node) ast.Expr {
	switch n := node.(type) {
	case *ast.CallExpr:
		name, _ := n.Fun.(*ast.Ident)
		if name != nil && name.Name == "failed" {
			return n.Args[1]
		}
		if name != nil && name.Name == "wrongUsage" {
			return n.Args[2]
		}
	case *ast.CompositeLit:
		if name, _ := n.Type.(*ast.Ident); name != nil && name.Name == "failure" {
			return n.Elts[2]
		}
	}
	return nil
}

// fixedParts returns what stands between the verbs of a format, if it is more than two words.
func fixedParts(format string) (parts []string) {
	for _, part := range regexp.MustCompile(`%(\[\d\])?[a-z]`).Split(format, -1) {
		if part = strings.Trim(part, " .:;,'"); strings.Count(part, " ") > 1 {
			parts = append(parts, part)
		}
	}
	return parts
}
