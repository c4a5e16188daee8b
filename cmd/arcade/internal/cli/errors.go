package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells report it
	exitClosedPipe  = 141 // 128 + SIGPIPE
)

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
	// errLeft ends a command that runs until it is interrupted; print nothing.
	errLeft = &failure{exitInterrupted, "interrupted", "", ""}
	// Stdout is closed; print nothing.
	errOutputClosed = &failure{exitClosedPipe, "output closed", "", ""}
	// errKeptApart ends a request that would let arcade.dev know of the user's own installation.
	errKeptApart   = errors.New("nothing is sent to arcade.dev while a self-hosted context is active")
	errNotLoggedIn = &failure{exitFailure, "not logged in", "you are not logged in", "Run 'arcade login'."}
	// errStrongerLogin is one sentence, which the browser shows as well.
	errStrongerLogin = &failure{exitFailure, "passkey asked for", "your organization asks for a passkey or an authenticator app: " +
		"set it up in your Arcade account, then run 'arcade login' again", ""}
)

// failed makes the failure of a command with a correct command line.
func failed(words, what, hint string) *failure {
	return &failure{exitFailure, words, what, hint}
}

// wrongUsage makes the failure of a wrong command line.
func wrongUsage(cmd *cobra.Command, words, what string) *failure {
	return &failure{exitUsage, "wrong usage: " + words, what, fmt.Sprintf("Run '%s --help' for how to use it.", cmd.CommandPath())}
}

func adviceFailure(line advice.Line, before string) *failure {
	return failed(strings.ReplaceAll(line.Reason, "_", " "), before+line.What, line.Do)
}

// interruption is the failure of a command that returned err when its context had ended.
func interruption(ctx context.Context, err error) *failure {
	f := *errInterrupted
	if ended := (*term.Ended)(nil); errors.As(context.Cause(ctx), &ended) {
		words := map[os.Signal]string{syscall.SIGHUP: "hung up", syscall.SIGTERM: "terminated", syscall.SIGQUIT: "quit"}
		f.code, f.words = ended.ExitCode(), cmp.Or(words[ended.Signal], f.words)
	}
	if f.what = f.words; errors.Is(err, errLeft) {
		f.what = ""
	}
	return &f
}

// panicked makes the failure of a bug. It leaves out the panic's value, which may quote anything.
func panicked(stack []byte) *failure {
	return &failure{exitFailure, "panic", "arcade ran into a bug of its own and stopped",
		"Please report it, with these lines, at " + advice.Issues + "\n" + frames(stack)}
}

// frames keeps the function names and lines of a stack trace and drops the arguments' values.
func frames(stack []byte) string {
	arguments := regexp.MustCompile(`(?m)^goroutine .*\n|^panic\(.*\n|\([^()\n]*\)$`)
	return strings.TrimSpace(arguments.ReplaceAllString(string(stack), ""))
}

// asFailure words an error that is not a failure yet.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, track.ErrNoHome):
		return failed("no home directory", "there is no home directory to keep files in",
			"Set "+track.HomeVariable+", or set ARCADE_WORK_DIR to a directory of your choice.")
	case errors.As(err, new(*track.UnusableKeyError)):
		return failed("unusable ARCADE_API_KEY", err.Error(), "Correct the variable, or unset it.")
	case errors.Is(err, identity.ErrNoEngine):
		return failed("ARCADE_URL not usable",
			"ARCADE_URL is not the address of an Engine: https:// and a host, without a path or a password",
			"Set it to one such as https://engine.example.com.")
	case isOutput(err):
		return failed("output not written", "the output cannot be written: "+err.Error(),
			"Check the file or the program that it goes to.")
	}
	return failed("failure", cause(err), "If this should work, please report it at "+advice.Issues)
}

// isOutput reports a failed write to stdout or stderr.
func isOutput(err error) bool { return errors.As(err, new(*term.WriteError)) }

// cause is why something failed, without our packages' words about what they were doing: those stand in the sentence
// before it.
func cause(err error) string {
	var file *fs.PathError
	var cloud *identity.CloudError
	switch {
	case errors.As(err, &file):
		return file.Error()
	case errors.As(err, &cloud):
		return cloud.Error()
	}
	return innermost(err).Error()
}

func innermost(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

// networkLine is the table's line for a call that a network, a proxy or a page kept from its server, or that the
// server was unable to answer. It is false for any other answer of the server, and for any other error. The flag is the
// one that names Arcade Cloud, "" for a command that takes the login's.
func networkLine(err error, flag string) (advice.Line, bool) {
	var connection *secrets.ConnectionError
	var refused *secrets.StatusError
	var problem *secrets.Problem
	var cloud *identity.CloudError
	if errors.As(err, &connection) && errors.Is(connection.Cause, errKeptApart) || errors.Is(err, errKeptApart) {
		return advice.Line{Reason: "kept_apart", What: errKeptApart.Error(), Do: "Choose another context with 'arcade context set'."}, true
	}
	const again = "and the network, then run the command again."
	server := advice.Server{Name: "the Engine", Option: "--host, --port, --tls or --no-tls", Again: "Check --host, --port " + again}
	switch {
	case errors.As(err, &connection):
		return server.Of(httpsend.CauseOf(context.Background(), connection.Cause), secrets.Printable(connection.Host)), true
	case errors.As(err, &refused) && errors.As(err, &problem):
		server.Again = problem.Do
		return server.Answer(refused.Status, refused.Page)
	case !errors.As(err, &cloud):
		return advice.Line{}, false
	}
	server = advice.Server{Name: cmp.Or(cloud.Server, "Arcade Cloud"), Option: flag, Again: "Check " + flag + " " + again}
	if flag == "" {
		server.Option, server.Again = server.Name+"'s address", "Check the network, then run the command again."
	}
	if network := cloud.Unwrap(); cloud.Status == 0 && network != nil {
		return server.Of(httpsend.CauseOf(context.Background(), network), ""), true
	}
	server.Again = "Try again in a while."
	return server.Answer(cloud.Status, cloud.Page)
}

// cloudFailure is the failure of a command that got no usable answer from Arcade Cloud, or from the address of the
// flag. Its advice is that of the table or, for a cause that is not there, otherwise.
func cloudFailure(words, before string, err error, flag, otherwise string) *failure {
	if line, known := networkLine(err, flag); known {
		return failed(words, before+line.What, line.Do)
	}
	return failed(words, before+cause(err), otherwise)
}

// noArgs is cobra.NoArgs with an error that does not repeat the argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongUsage(cmd, "too many arguments", "this command takes no arguments")
	}
	return nil
}

// isCommandWord reports whether a word looks like a mistyped command. Any other word may be a misplaced secret, and is
// not repeated.
func isCommandWord(word string) bool {
	return word != "" && len(word) <= 24 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// isInPython recognises the commands of the Python CLI that this one does not have.
func isInPython(word string) bool {
	return slices.Contains(strings.Fields("chat configure connect dashboard deploy display docs evals logs mcp new serve server show "+
		"toolkit toolkits update upgrade worker workerup"), word)
}

func unknownCommand(cmd *cobra.Command, word string) *failure {
	what := fmt.Sprintf("unknown command for '%s'", cmd.CommandPath())
	if isCommandWord(word) {
		what = fmt.Sprintf("unknown command '%s' for '%s'", word, cmd.CommandPath())
	}
	f := wrongUsage(cmd, "unknown command", what)
	atTop := !cmd.HasParent()
	switch {
	case word == "": // everything begins with it
	case atTop && isInPython(word):
		f = wrongUsage(cmd, "command of the Python CLI", "this arcade has no '"+word+"'; the Python CLI has it")
		f.hint = "Run 'arcade-mcp " + word + "'; without it: 'uv tool install arcade-mcp'."
	case atTop && word == "version":
		f.suggest([]string{cmd.CommandPath() + " --version"})
	default:
		cmd.SuggestionsMinimumDistance = cmp.Or(cmd.SuggestionsMinimumDistance, 2)
		meant := cmd.SuggestionsFor(word)
		for i, name := range meant {
			meant[i] = cmd.CommandPath() + " " + name
		}
		if len(meant) == 0 {
			meant = pathsBelow(cmd.Root(), func(c *cobra.Command) bool {
				return c.Name() == word && (atTop || c.Parent() == cmd.Root())
			})
		}
		f.suggest(meant)
	}
	return f
}

// unknownFlag does not repeat what may be a misplaced value: several letters behind a single dash, or behind two
// dashes anything but a word.
func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) *failure {
	name, letters := unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()
	switch {
	case len(letters) == 1:
		return wrongUsage(cmd, "unknown flag", fmt.Sprintf("unknown flag '-%s'", letters))
	case letters != "" || !isCommandWord(name):
		return wrongUsage(cmd, "unknown flag", "there is no such flag")
	}
	var meant []string
	like := &cobra.Command{SuggestionsMinimumDistance: min(2, max(1, len(name)/2))} // cobra compares only commands
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		words := strings.Split(flag.Name, "-")[1:] // --key means --with-key
		like.AddCommand(&cobra.Command{Use: flag.Name, SuggestFor: words, Run: func(*cobra.Command, []string) {}})
	})
	for _, flag := range like.SuggestionsFor(name) {
		meant = append(meant, "--"+flag)
	}
	within := cmd
	if !cmd.HasSubCommands() {
		within = cmd.Parent()
	}
	if len(meant) == 0 && (within == cmd || within.HasParent()) {
		for _, path := range pathsBelow(within, func(c *cobra.Command) bool { return c.Flag(name) != nil }) {
			meant = append(meant, path+" --"+name)
		}
	}
	f := wrongUsage(cmd, "unknown flag", fmt.Sprintf("unknown flag '--%s'", name))
	f.suggest(meant)
	return f
}

// pathsBelow are the commands below cmd that fit, as they are typed.
func pathsBelow(cmd *cobra.Command, fits func(*cobra.Command) bool) (paths []string) {
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() && fits(child) {
			paths = append(paths, child.CommandPath())
		}
		paths = append(paths, pathsBelow(child, fits)...)
	}
	return paths
}

// suggest makes the hint a question, unless there are too many candidates.
func (f *failure) suggest(meant []string) {
	const most = 4
	if last := len(meant) - 1; last == 0 {
		f.hint = "Did you mean '" + meant[0] + "'?"
	} else if 0 < last && last < most {
		f.hint = "Did you mean '" + strings.Join(meant[:last], "', '") + "' or '" + meant[last] + "'?"
	}
}

// flagError words pflag's errors without the values they quote.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case cmd.HasSubCommands() && cmd.Flags().NArg() > 0: // the flag belongs to an unknown command
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &missing):
		return noValue(cmd, missing.GetFlag())
	case errors.As(err, &invalid):
		flag := invalid.GetFlag() // any text is valid, so it is no text flag
		kinds := map[string]string{
			"int": "a whole number", "bool": "true or false",
			"duration": "a time to wait: seconds, or a duration such as 5m, 24h at most",
		}
		what := fmt.Sprintf("the value of --%s is not %s", flag.Name, kinds[flag.Value.Type()])
		return wrongUsage(cmd, "invalid value for --"+flag.Name, what)
	}
	return wrongUsage(cmd, "flags", "the flags cannot be understood")
}

func noValue(cmd *cobra.Command, flag *pflag.Flag) error {
	return wrongUsage(cmd, "no value for --"+flag.Name, "--"+flag.Name+" needs a value")
}

// emptyFlag refuses a text flag with an empty value: an unset variable of a script must not change what the command
// works on.
func emptyFlag(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Value.Type() == "string" && flag.Value.String() == "" {
			err = noValue(cmd, flag)
		}
	})
	return err
}

// hostHasTheLetterH leaves -h to the command's --host, as in the Python CLI, so that --help has no short form. A lone
// -h shows the help all the same.
func hostHasTheLetterH(cmd *cobra.Command) {
	cmd.PersistentFlags().Bool("help", false, "show this help; a bare -h does, too")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var missing *pflag.ValueRequiredError
		if errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "h" {
			return pflag.ErrHelp
		}
		return flagError(cmd, err)
	})
}
