package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells report it
)

// issues is where people report what should not be.
const issues = "https://github.com/ArcadeAI/arcade-cli/issues"

// failure is an error for a person: what happened and why, and what to do about it.
//
// words is all of it that may leave the machine: fixed words, names of our own commands and
// flags, HTTP status codes. It never holds what a user, a file or a server said.
type failure struct {
	code  int
	words string
	what  string
	hint  string
}

func (f *failure) Error() string { return f.what }

var (
	errInterrupted = &failure{exitInterrupted, "interrupted", "interrupted", ""}
	errNoHome      = &failure{exitFailure, "no home directory", "there is no home directory to keep files in",
		"Set HOME, or set ARCADE_WORK_DIR to a directory of your choice."}
	errNotLoggedIn = &failure{exitFailure, "not logged in", "you are not logged in", "Run 'arcade login'."}
)

// failed makes the failure of a command that was used rightly.
func failed(words, what, hint string) *failure {
	return &failure{exitFailure, words, what, hint}
}

// wrongUsage makes the failure of a command line that cannot be carried out.
func wrongUsage(cmd *cobra.Command, words, what string) *failure {
	return &failure{exitUsage, "wrong usage: " + words, what, fmt.Sprintf("Run '%s --help' for how to use it.", cmd.CommandPath())}
}

// panicked makes the failure of a bug. The panic's value is left out: it may quote anything.
func panicked(stack []byte) *failure {
	return &failure{exitFailure, "panic", "arcade ran into a bug of its own and stopped",
		"Please report it, with these lines, at " + issues + "\n" + frames(stack)}
}

// frames keeps the function names and lines of a stack trace and drops the arguments' values.
func frames(stack []byte) string {
	arguments := regexp.MustCompile(`^goroutine .*|^panic\(.*|\([^()]*\)$`)
	var kept []string
	for line := range strings.Lines(string(stack)) {
		if line = arguments.ReplaceAllString(strings.TrimRight(line, "\n"), ""); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// isCommandWord tells whether a word looks like a mistyped command. Anything else on the
// command line may be a secret in the wrong place, and is not repeated.
func isCommandWord(word string) bool {
	return len(word) <= 24 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// mayBeSecret tells whether an unknown flag may be a value in the wrong place: more than one
// letter behind a single dash, or no word behind two.
func mayBeSecret(flag *pflag.NotExistError) bool {
	return len(flag.GetSpecifiedShortnames()) > 1 || !isCommandWord(flag.GetSpecifiedName())
}

func unknownCommand(cmd *cobra.Command, word string) *failure {
	what := fmt.Sprintf("unknown command for '%s'", cmd.CommandPath())
	if isCommandWord(word) {
		what = fmt.Sprintf("unknown command '%s' for '%s'", word, cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = cmp.Or(cmd.SuggestionsMinimumDistance, 2)
	f := wrongUsage(cmd, "unknown command", what)
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		f.hint = fmt.Sprintf("Did you mean '%s %s'?", cmd.CommandPath(), strings.Join(near, "' or '"+cmd.CommandPath()+" "))
	}
	return f
}

// flagError words pflag's errors without the values they quote.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && mayBeSecret(unknown):
		return wrongUsage(cmd, "unknown flag", "there is no such flag")
	case errors.As(err, &unknown):
		return wrongUsage(cmd, "unknown flag", fmt.Sprintf("unknown flag '%s'", specified(unknown)))
	case errors.As(err, &missing):
		name := "--" + missing.GetFlag().Name
		return wrongUsage(cmd, "no value for "+name, name+" needs a value")
	case errors.As(err, &invalid):
		flag := invalid.GetFlag()
		what := fmt.Sprintf("the value of --%s is not %s", flag.Name, kindOf(flag))
		return wrongUsage(cmd, "invalid value for --"+flag.Name, what)
	default:
		return wrongUsage(cmd, "flags", "the flags cannot be understood")
	}
}

// specified is an unknown flag as it was typed, without its value.
func specified(flag *pflag.NotExistError) string {
	if letter := flag.GetSpecifiedShortnames(); letter != "" {
		return "-" + letter
	}
	return "--" + flag.GetSpecifiedName()
}

// kindOf words what a flag takes, for a person. Texts are never invalid.
func kindOf(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int":
		return "a whole number"
	case "duration":
		return "a duration such as 30s or 5m"
	default:
		return "true or false"
	}
}

// inTwo takes a sentence of package secrets apart: what happened, and what to do about it.
func inTwo(err error) (what, hint string) {
	what = err.Error()
	if end := strings.LastIndex(what, "; "); end >= 0 {
		what, hint = what[:end], what[end+len("; "):]
		hint = strings.ToUpper(hint[:1]) + hint[1:] + "."
	}
	return what, hint
}

// cause is why something failed, without the words of our packages about what they were doing:
// the sentence before it says that.
func cause(err error) string {
	var file *fs.PathError
	if errors.As(err, &file) {
		return file.Error()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// asFailure words an error that no command has worded.
func asFailure(err error) *failure {
	var f *failure
	var file *fs.PathError
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.As(err, &file) && file.Op == "write":
		return failed("output not written", "the output cannot be written: "+file.Err.Error(),
			"Check the file or the program that it goes to.")
	default:
		return failed("failure", cause(err), "If this should work, please report it at "+issues)
	}
}

// report prints what a person should know of an error and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return 0
	}
	f, t := asFailure(err), a.terminal(a.err)
	if f.what != "" {
		fmt.Fprintln(a.err, t.wrap("Error: "+strings.TrimSuffix(f.what, ".")+"."))
	}
	if f.hint != "" {
		fmt.Fprintln(a.err, t.wrap(f.hint))
	}
	return f.code
}
