package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
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
	// errKeptApart ends a request to arcade.dev that would tell it of an installation of the user's own.
	errKeptApart   = errors.New("nothing is sent to arcade.dev while a self-hosted context is active")
	errNotLoggedIn = &failure{exitFailure, "not logged in", "you are not logged in", "Run 'arcade login'."}
	// errStrongerLogin is one sentence, which the browser shows as well.
	errStrongerLogin = &failure{exitFailure, "passkey asked for", "your organization asks for a passkey or an authenticator app: " +
		"set it up in your Arcade account, then run 'arcade login' again", ""}
)

// interruption is the failure of a command that returned err when its context had ended.
func interruption(ctx context.Context, err error) *failure {
	f := *errInterrupted
	if ended := (*term.Ended)(nil); errors.As(context.Cause(ctx), &ended) {
		f.code = ended.ExitCode()
		switch ended.Signal {
		case syscall.SIGHUP:
			f.words = "hung up"
		case syscall.SIGTERM:
			f.words = "terminated"
		case syscall.SIGQUIT:
			f.words = "quit"
		}
	}
	if f.what = f.words; errors.Is(err, errLeft) {
		f.what = ""
	}
	return &f
}

// failed makes the failure of a command whose command line was right.
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
		"Please report it, with these lines, at " + advice.Issues + "\n" + frames(stack)}
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

// isCommandWord reports whether a word looks like a mistyped command. Anything else on the
// command line may be a secret in the wrong place, and is not repeated.
func isCommandWord(word string) bool {
	return word != "" && len(word) <= 24 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// mayBeSecret reports whether an unknown flag may be a value in the wrong place: more than one
// letter behind a single dash, or no word behind two.
func mayBeSecret(flag *pflag.NotExistError) bool {
	return len(flag.GetSpecifiedShortnames()) > 1 || !isCommandWord(flag.GetSpecifiedName())
}

func unknownCommand(cmd *cobra.Command, word string) *failure {
	what := fmt.Sprintf("unknown command for '%s'", cmd.CommandPath())
	if isCommandWord(word) {
		what = fmt.Sprintf("unknown command '%s' for '%s'", word, cmd.CommandPath())
	}
	if !cmd.HasParent() && isInPython(word) {
		f := wrongUsage(cmd, "command of the Python CLI", "this arcade has no '"+word+"'; the Python CLI has it")
		f.hint = "Run 'arcade-mcp " + word + "'; without it: 'uv tool install arcade-mcp'."
		return f
	}
	cmd.SuggestionsMinimumDistance = cmp.Or(cmd.SuggestionsMinimumDistance, 2)
	f := wrongUsage(cmd, "unknown command", what)
	var meant []string
	switch {
	case word == "": // everything begins with it
	case word == "version" && !cmd.HasParent():
		meant = []string{cmd.CommandPath() + " --version"}
	default:
		for _, name := range cmd.SuggestionsFor(word) {
			meant = append(meant, cmd.CommandPath()+" "+name)
		}
		if len(meant) == 0 {
			meant = pathsBelow(cmd.Root(), func(c *cobra.Command) bool {
				return c.Name() == word && (!cmd.HasParent() || c.Parent() == cmd.Root())
			})
		}
	}
	f.suggest(meant)
	return f
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) *failure {
	if mayBeSecret(unknown) {
		return wrongUsage(cmd, "unknown flag", "there is no such flag")
	}
	f := wrongUsage(cmd, "unknown flag", fmt.Sprintf("unknown flag '%s'", specified(unknown)))
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		return f
	}
	meant := similarFlags(cmd, name)
	if within := cmd.Parent(); len(meant) == 0 && (cmd.HasSubCommands() || within.HasParent()) {
		if cmd.HasSubCommands() {
			within = cmd
		}
		for _, path := range pathsBelow(within, func(c *cobra.Command) bool { return c.Flag(name) != nil }) {
			meant = append(meant, path+" --"+name)
		}
	}
	f.suggest(meant)
	return f
}

// similarFlags are flags of cmd by cobra's measure for commands.
func similarFlags(cmd *cobra.Command, name string) (similar []string) {
	flags := &cobra.Command{SuggestionsMinimumDistance: min(2, max(1, len(name)/2))}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: flag.Name, Run: func(*cobra.Command, []string) {}})
	})
	for _, flag := range flags.SuggestionsFor(name) {
		similar = append(similar, "--"+flag)
	}
	return similar
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

// suggest makes the hint a question, unless too much may be meant.
func (f *failure) suggest(meant []string) {
	const most = 4
	if last := len(meant) - 1; last == 0 {
		f.hint = "Did you mean '" + meant[0] + "'?"
	} else if 0 < last && last < most {
		f.hint = "Did you mean '" + strings.Join(meant[:last], "', '") + "' or '" + meant[last] + "'?"
	}
}

// hostHasTheLetterH makes -h the host of a command, as users of the Python CLI know it, so that
// --help has no short form there; a lone -h shows the help all the same.
func hostHasTheLetterH(cmd *cobra.Command) {
	cmd.PersistentFlags().Bool("help", false, "show this help; a bare -h does, too")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if isLoneH(err) {
			return pflag.ErrHelp
		}
		return flagError(cmd, err)
	})
}

func isLoneH(err error) bool {
	var missing *pflag.ValueRequiredError
	return errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "h"
}

// inPython are the commands of the Python CLI that this one does not have.
const inPython = " chat configure connect dashboard deploy display docs evals logs mcp new serve server show toolkit toolkits update upgrade worker workerup "

func isInPython(word string) bool { return strings.Contains(inPython, " "+word+" ") }

// flagError words pflag's errors without the values they quote.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case cmd.HasSubCommands() && cmd.Flags().NArg() > 0: // the flag is that of a command which is not there
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
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

// emptyFlag refuses a text flag with an empty value: a script's variable that is not set must not change what
// the command is about.
func emptyFlag(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Value.Type() == "string" && flag.Value.String() == "" {
			err = wrongUsage(cmd, "no value for --"+flag.Name, "--"+flag.Name+" needs a value")
		}
	})
	return err
}

// specified is an unknown flag as it was typed, without its value.
func specified(flag *pflag.NotExistError) string {
	if letter := flag.GetSpecifiedShortnames(); letter != "" {
		return "-" + letter
	}
	return "--" + flag.GetSpecifiedName()
}

// kindOf names what a flag takes. Any text is valid, so a text flag never comes here.
func kindOf(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int":
		return "a whole number"
	case "duration":
		return "a time to wait: seconds, or a duration such as 5m"
	default:
		return "true or false"
	}
}

// adviceFailure makes a command's error from a line of the table.
func adviceFailure(line advice.Line, before string) *failure {
	return failed(strings.ReplaceAll(line.Reason, "_", " "), before+line.What, line.Do)
}

// networkLine is the table's line for a call that a network, a proxy or a page kept from its server, or that
// met a server in trouble. It is false for any other answer of the server itself, and for any other error. The
// flag is the one that names Arcade Cloud, "" for a command that goes by the login.
func networkLine(err error, flag string) (advice.Line, bool) {
	engine := advice.Server{
		Name: "the Engine", Option: "--host, --port, --tls or --no-tls", Again: "Check --host, --port and the network, then run the command again.",
	}
	cloud := advice.Server{Name: "Arcade Cloud", Again: "Check the network, then run the command again."}
	var connection *secrets.ConnectionError
	var refused *secrets.StatusError
	var problem *secrets.Problem
	var asked *identity.CloudError
	if errors.As(err, &asked) && asked.Server != "" {
		cloud.Name = asked.Server
	}
	if cloud.Option = cloud.Name + "'s address"; flag != "" {
		cloud.Option, cloud.Again = flag, "Check "+flag+" and the network, then run the command again."
	}
	switch {
	case errors.As(err, &connection) && errors.Is(connection.Cause, errKeptApart), errors.Is(err, errKeptApart):
		return advice.Line{Reason: "kept_apart", What: errKeptApart.Error(), Do: "Choose another context with 'arcade context set'."}, true
	case errors.As(err, &connection):
		return engine.Of(httpsend.CauseOf(context.Background(), connection.Cause), secrets.Printable(connection.Host)), true
	case errors.As(err, &refused) && errors.As(err, &problem):
		engine.Again = problem.Do
		return engine.Answer(refused.Status, refused.Page)
	case errors.As(err, &asked) && asked.Status == 0 && asked.Unwrap() != nil:
		return cloud.Of(httpsend.CauseOf(context.Background(), asked.Unwrap()), ""), true
	case errors.As(err, &asked):
		cloud.Again = "Try again in a while."
		return cloud.Answer(asked.Status, asked.Page)
	}
	return advice.Line{}, false
}

// remedy is what to do about a call that failed: what the table says, if it knows the cause.
func (a *App) remedy(err error, otherwise string) string {
	if line, known := networkLine(err, a.cloudFlag); known {
		return line.Do
	}
	return otherwise
}

// cause is why something failed, without the words of our packages about what they were doing:
// the sentence before it says that.
func cause(err error) string {
	var file *fs.PathError
	var cloud *identity.CloudError
	switch {
	case errors.As(err, &file):
		return file.Error()
	case errors.As(err, &cloud):
		if line, known := networkLine(err, ""); known {
			return line.What
		}
		return cloud.Error()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// isOutput reports a failed write to stdout or stderr.
func isOutput(err error) bool {
	var output *term.WriteError
	return errors.As(err, &output)
}

// asFailure words an error that has no words for a person yet.
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
	case isOutput(err):
		return failed("output not written", "the output cannot be written: "+err.Error(),
			"Check the file or the program that it goes to.")
	default:
		return failed("failure", cause(err), "If this should work, please report it at "+advice.Issues)
	}
}

// group is the RunE of a command that only holds others: without one cobra shows the help and
// exits with 0 on an unknown word.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return cmd.Help()
}

// noArgs is cobra.NoArgs with an error that does not repeat the argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongUsage(cmd, "too many arguments", "this command takes no arguments")
	}
	return nil
}
