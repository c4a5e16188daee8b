// Package cli has arcade's commands: one file for a command or a group, and below them what they
// share. A file uses only those below it in this list:
//
//	app.go                                             the program: runs a command and has it recorded
//	login.go whoami.go context.go org_project.go secret.go usage.go   the commands and groups
//	usage_*.go                                         the commands of the group usage
//	engine.go                                          the Engine that a credential leads to
//	account.go                                         the login
//	world.go errors.go                                 what all commands share
package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
)

// Notice is shown once, after the first event was recorded. Destination is the address that events
// go to, "" if none are sent, for want of a key or an address.
func Notice(destination string) string {
	does := "keeps that on this machine, since a key or an address to send it is missing"
	if destination != "" {
		does = "sends that to " + destination
	}
	return `arcade notes which command ran, how long it took and whether it failed,
and ` + does + `:
no arguments, no values, no file contents.
'arcade usage inspect' shows all of it; 'arcade usage disable' or
ARCADE_USAGE_TRACKING=0 switches it off.
`
}

// Run runs one command line, has it recorded, and returns its exit code. Recording changes neither
// what the command printed nor that code; the first time it adds the notice.
func (a *App) Run(ctx context.Context, args []string) int {
	command := track.Command{Began: a.Track.Now()}
	root := a.Root()
	addHelpAndCompletion(root)
	if len(args) > 0 && args[0] == "--" { // cobra takes nothing behind it for a command
		args = args[1:]
	}
	if len(args) > 0 && isInPython(args[0]) { // the rest is for the other program
		args = args[:1]
	}
	root.SetArgs(args)
	cmd, err := term.Await(untilPatienceEnds(ctx), func() (*cobra.Command, error) { return a.execute(ctx, root) })
	if cmd == nil { // It hangs, and still owns its streams and its App. Report with new ones.
		a = &App{Track: a.Track, Extend: a.Extend, Screen: term.New(nil, io.Discard, io.Discard, a.Track.Env)}
		cmd, _, _ = a.Root().Find(args)
		err = interruption(ctx, errLeft)
	}
	code := 0
	if err != nil {
		f := asFailure(err)
		a.report(f)
		code, command.Failure = f.code, f.words
	}
	top, asked := "", cmd.Flags().Lookup("version")
	command.Name = "root"
	if path := strings.Fields(cmd.CommandPath())[1:]; len(path) > 0 { // below the program's name
		top, command.Name = path[0], strings.Join(path, ".")
	}
	// Looking at the queue must not change it.
	unrecorded := []string{"usage", "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}
	if a.showedHelp || asked != nil && asked.Changed || slices.Contains(unrecorded, top) {
		return code
	}
	aboutLogin := []string{"login", "logout", "whoami", "org", "project", "context"} // even with a key in the environment
	command.UsesLogin = slices.Contains(aboutLogin, top) && !a.keyOnly
	command.Ended, command.Change = a.Track.Now(), a.change
	if a.Track.Record(ctx, command) {
		a.printNotice()
	}
	return code
}

// untilPatienceEnds is a context that ends soon after ctx. A command that still runs then is stuck where no context
// reaches: it writes to a full pipe, or opens one that has no other end.
func untilPatienceEnds(ctx context.Context) context.Context {
	patience, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(500*time.Millisecond, end) })
	return patience
}

// execute runs the command and turns a panic into an error, so that it is recorded like every
// other ending. Cobra's hooks miss some of them: unknown flags and commands, missing arguments.
func (a *App) execute(ctx context.Context, root *cobra.Command) (cmd *cobra.Command, err error) {
	cmd = root
	defer func() {
		if value := recover(); value != nil {
			err = panicked(debug.Stack())
		}
	}()
	root.PersistentPreRunE = func(running *cobra.Command, _ []string) error {
		cmd = running // after a panic cobra cannot return it
		return emptyFlag(running)
	}
	executed, err := root.ExecuteContextC(ctx)
	switch {
	case ctx.Err() != nil && err != nil:
		err = interruption(ctx, err)
	case a.Out.Closed():
		err = errOutputClosed
	case err == nil: // cobra ignores a failed write of help and version
		err = a.Out.Failed()
	}
	return executed, err
}

// WithSignals returns a context that a signal ends, see term.WithSignals. The error of the command
// that it interrupts has the signal's exit code.
func WithSignals(ctx context.Context) context.Context { return term.WithSignals(ctx) }

// Root builds the command tree.
func (a *App) Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "arcade",
		Short: "Arcade's command line",
		Long: `Log in to Arcade, manage the secrets of your tools, and see what this program
records about its own use: each command leaves one usage event, which stays on
this machine until it is delivered. 'arcade usage status' shows what waits.`,
		Example:       "  arcade login\n  arcade whoami\n  arcade usage inspect",
		Version:       a.Track.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	// No Set...Template anywhere: cobra would link text/template, whose calls by name make the
	// linker keep every exported method of the program, 2.6 MB of them.
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(a.help(root.HelpFunc()))
	// A command that completes nothing does not complete the names of files either.
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(a.newLogin(), a.newLogout(), a.newWhoami(), a.newContext(), a.newOrg(), a.newProject(), a.newSecret(), a.newUsage())
	refuseUnknown(root)
	if a.Extend != nil {
		a.Extend(root)
	}
	return root
}

// refuseUnknown makes a group of commands, and all groups below it, fail on an unknown word: cobra would show the help
// and end with 0. A command whose Use names no argument takes none, unless its Args differ.
func refuseUnknown(cmd *cobra.Command) {
	if cmd.HasSubCommands() {
		alone := cmd.RunE
		cmd.Args, cmd.RunE = cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return unknownCommand(cmd, args[0])
			case alone == nil:
				return cmd.Help()
			}
			return alone(cmd, args)
		}
	} else if cmd.Args == nil && !strings.Contains(cmd.Use, " ") {
		cmd.Args = noArgs
	}
	for _, child := range cmd.Commands() {
		refuseUnknown(child)
	}
}

// addHelpAndCompletion adds cobra's own commands, which then refuse unknown words as ours do.
func addHelpAndCompletion(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error {
				topic, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(topic, rest[0])
				}
				return topic.Help()
			}
		case "completion":
			refuseUnknown(cmd)
			for _, shell := range cmd.Commands() {
				shell.Args = noArgs
			}
		}
	}
}

// printNotice fills the lines of the notice to the width of a terminal.
func (a *App) printNotice() {
	destination := ""
	if a.Track.HasKey() {
		destination = a.Track.Host()
	}
	text := strings.TrimSuffix(Notice(destination), "\n")
	if a.Err.Interactive {
		text = strings.ReplaceAll(text, "\n", " ")
	}
	a.note(text)
}

func (a *App) report(f *failure) {
	if f.what != "" {
		a.note("Error: " + strings.TrimSuffix(f.what, ".") + ".")
	}
	if f.hint != "" {
		a.note(f.hint)
	}
}

// helpWidth is the longest line of help that is easy to read, in characters.
const helpWidth = 80

// help lays out what cobra prints, which takes no notice of the terminal.
func (a *App) help(print func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		a.showedHelp = true
		var text bytes.Buffer
		out := cmd.OutOrStdout()
		cmd.SetOut(&text)
		print(cmd, args)
		cmd.SetOut(out)
		fmt.Fprint(out, term.Reflow(text.String(), min(a.Out.Width, helpWidth)))
	}
}
