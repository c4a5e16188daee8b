package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// setOptions are the flags of 'arcade secret set'.
type setOptions struct {
	fromEnv bool
	envFile string
	dryRun  bool
}

func (a *App) newSecretSet(at *engineOptions) *cobra.Command {
	var o setOptions
	cmd := &cobra.Command{
		Use:        "set KEY=VALUE... | KEY | --from-env [--env-file PATH]",
		Short:      "Set tool secrets",
		SuggestFor: []string{"add", "create", "put"},
		Long: `Set secrets, new ones and such that exist. The first = of an argument splits;
the value is kept as it is. What is typed as KEY=VALUE stays in the shell's
history, so there are two other ways:

  KEY=-   reads the value from standard input, without its last line break
  KEY     asks for the value on the terminal and does not show it

--from-env sets all that a .env file holds. There,

  - a key is a name: letters, digits, _, - and ., no digit or - first; 'export'
    before it is fine
  - a comment starts at the first # after a blank, outside quotes
  - single and double quotes around a value are removed; between them a value
    may go over several lines
  - in double quotes \n and \r are line breaks, and \\ \" \$ mean the second
    character; all else, a $ above all, means itself everywhere
  - lines without = or without a value are skipped with a warning

The file is read as a whole first. A key that is no name, an open quote, text
behind a quote, a PEM block or JSON without quotes, a [section]: the file is
refused and nothing is sent. --dry-run shows what would be.

The exit code is 1 if any secret could not be set; the others are set all the
same, unless they would fail for the same reason.`,
		Example: "  arcade secret set MY_KEY\n  arcade secret set MY_KEY=- < key.pem\n  arcade secret set --from-env -f .env.production\n  decrypt .env.enc | arcade secret set --from-env -f - --dry-run",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd, args); err != nil {
				return err
			}
			return a.secretSet(cmd, *at, o, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.SetFlagErrorFunc(setFlagError)
	cmd.Flags().BoolVar(&o.fromEnv, "from-env", false, "set the secrets in a .env file")
	cmd.Flags().StringVarP(&o.envFile, "env-file", "f", ".env", "the file for --from-env; - is standard input")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show keys, lines and lengths, and send nothing")
	if err := cmd.RegisterFlagCompletionFunc("env-file", a.completeEnvFile); err != nil { // only for a flag that does not exist
		panic(err)
	}
	return cmd
}

// setFlagError is flagError for 'secret set', where -h may stand alone, and where an unknown flag is not
// repeated: it may be a value that lost its key to a blank.
func setFlagError(cmd *cobra.Command, err error) error {
	if isLoneH(err) {
		return pflag.ErrHelp
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return wrongUsage(cmd, "unknown flag", "there is no such flag; a value that starts with - is written KEY=-value")
	}
	return flagError(cmd, err)
}

func (o setOptions) check(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 && !o.fromEnv:
		return wrongUsage(cmd, "neither pairs nor --from-env",
			"either provide KEY=VALUE pairs or use --from-env to load from .env file.")
	case len(args) > 0 && o.fromEnv:
		return wrongUsage(cmd, "both pairs and --from-env",
			"cannot use both KEY=VALUE pairs and --from-env at the same time.")
	case !o.fromEnv && cmd.Flags().Changed("env-file"):
		return wrongUsage(cmd, "--env-file without --from-env", "--env-file is only used with --from-env")
	}
	return nil
}

func (a *App) secretSet(cmd *cobra.Command, at engineOptions, o setOptions, args []string) error {
	ctx := cmd.Context()
	inputs, err := a.parsePairs(args)
	if err != nil {
		return wrongPair(cmd, err)
	}
	var client *secrets.Client
	if !o.dryRun {
		if client, err = a.engine(cmd, at); err != nil { // nobody has to type a secret that cannot be sent
			return err
		}
	}
	if o.fromEnv {
		file, err := a.readEnvFile(ctx, o.envFile)
		switch {
		case err != nil:
			return err
		case o.dryRun:
			return a.printPlan(file.Plan())
		}
		a.warnOfSkipped(file, o.envFile)
		return a.sendPairs(ctx, client, file.Pairs(), len(file.Skipped))
	}
	pairs, err := a.readValues(ctx, inputs)
	switch {
	case err != nil:
		return wrongPair(cmd, err)
	case o.dryRun:
		return a.printPlan(secrets.PlanOf(pairs))
	}
	return a.sendPairs(ctx, client, pairs, 0)
}

// parsePairs is secrets.ParsePairs with a look at whether a lone key can be asked for.
func (a *App) parsePairs(args []string) ([]secrets.Input, error) {
	inputs, err := secrets.ParsePairs(args)
	for _, in := range inputs {
		if in.Source == secrets.Prompt && !a.Keyboard() {
			return nil, &secrets.PairError{Position: in.Position, Problem: secrets.NoTerminal}
		}
	}
	return inputs, err
}

// wrongPair words an error about an argument or its value.
func wrongPair(cmd *cobra.Command, err error) error {
	var wrong *secrets.PairError
	switch {
	case errors.As(err, &wrong):
		return wrongUsage(cmd, withoutAdvice(wrong.Problem), wrong.Error())
	case errors.Is(err, context.Canceled):
		return err
	}
	return failed("value not read", err.Error(), "Pipe it in: arcade secret set KEY=- < file")
}

// readValues fetches the values that are not in the arguments. On a terminal KEY=- is asked
// for, too: a typed secret would be shown otherwise.
func (a *App) readValues(ctx context.Context, inputs []secrets.Input) ([]secrets.Pair, error) {
	if !a.Keyboard() {
		return term.Await(ctx, func() ([]secrets.Pair, error) { return secrets.Resolve(inputs, a.In, nil) })
	}
	for i := range inputs {
		if inputs[i].Source == secrets.Stdin {
			inputs[i].Source = secrets.Prompt
		}
	}
	return secrets.Resolve(inputs, nil, func(key string) (string, error) {
		return a.AskHidden(ctx, fmt.Sprintf("Value of '%s' (not shown): ", secrets.Printable(key)))
	})
}

func (a *App) readEnvFile(ctx context.Context, path string) (secrets.EnvFile, error) {
	if path == "-" && a.Keyboard() { // what is typed would be shown
		return secrets.EnvFile{}, failed("env file: standard input is a terminal", "standard input is a terminal and no file",
			"Pipe the file in: arcade secret set --from-env -f - < .env")
	}
	// In its own goroutine, because the file may be a pipe: --env-file <(decrypt .env).
	file, err := term.Await(ctx, func() (secrets.EnvFile, error) {
		if path == "-" {
			return secrets.ReadEnv(a.In, envFileName(path))
		}
		return secrets.ReadEnvFile(path)
	})
	var unusable *secrets.EnvFileError
	var refused *secrets.EnvLinesError
	switch {
	case errors.As(err, &unusable):
		what, hint := inTwo(err)
		return file, failed("env file: "+withoutAdvice(unusable.Problem), what, hint)
	case errors.As(err, &refused):
		what, hint := inTwo(err)
		return file, failed("env file: "+withoutAdvice(refused.Lines[0].Problem), what, hint)
	case err != nil:
		return file, err
	case len(file.Entries) == 0:
		a.warnOfSkipped(file, path)
		hint := "Name another file with --env-file."
		if path == "-" {
			hint = "Check the program that writes it."
		}
		return file, failed("env file: no secrets in it", fmt.Sprintf("there is no KEY=VALUE in '%s'", envFileName(path)), hint)
	}
	return file, nil
}

func envFileName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return secrets.Printable(path)
}

func (a *App) warnOfSkipped(file secrets.EnvFile, path string) {
	if skipped := file.SkippedInWords(); skipped != "" {
		a.warn(fmt.Sprintf("Warning: skipped in '%s': %s", envFileName(path), skipped))
	}
}

// progressFrom is how many keys take long enough for a progress bar.
const progressFrom = 10

// sendPairs sets the secrets and says of each, in the order given, what became of it.
func (a *App) sendPairs(ctx context.Context, client *secrets.Client, pairs []secrets.Pair, skipped int) error {
	progress := a.Err.Progress(len(pairs), len(pairs) >= progressFrom && !a.traced)
	var screen sync.Mutex // lines come from here, and from those who wait
	settled := 0
	client.Waiting = func(d time.Duration) {
		screen.Lock()
		defer screen.Unlock()
		progress.Wipe()
		a.warn(waitingWords(d))
		progress.Show(settled)
	}
	results := verdicts{app: a, total: len(pairs), done: "set", counts: verdictCounts{skipped: skipped}}
	progress.Show(0)
	for result := range client.Set(ctx, pairs) {
		screen.Lock()
		progress.Wipe()
		a.setResult(&results, result, pairs[settled].Value)
		settled++
		progress.Show(settled)
		screen.Unlock()
	}
	progress.Wipe()
	return results.err(ctx)
}

func (a *App) setResult(results *verdicts, result secrets.Result, value string) {
	key := secrets.Printable(result.Key)
	if result.Err != nil {
		results.fail(result.Err, fmt.Sprintf("Error setting secret '%s': %s", key, reasonOf(result.Err)))
		return
	}
	results.counts.done++
	a.say(fmt.Sprintf("Secret '%s' %sset successfully%s", key, endingWords(value), a.inProject()))
}

func endingWords(value string) string {
	if ending := secrets.Ending(value); ending != "" {
		return "with value ending in ..." + ending + " "
	}
	return ""
}

// printPlan shows what would be set and skipped, and no value.
func (a *App) printPlan(plan []secrets.Planned) error {
	columns := []term.Column{{Title: "LINE", Right: true}, {Title: "KEY", Shrink: true}, {Title: "LENGTH", Right: true}, {Title: "SKIPPED", Shrink: true}}
	rows, sent := make([][]string, len(plan)), 0
	for i, p := range plan {
		rows[i] = []string{"", secrets.Printable(p.Key), "", string(p.Skipped)}
		if p.Line > 0 {
			rows[i][0] = strconv.Itoa(p.Line)
		}
		if p.Skipped == "" {
			rows[i][2] = strconv.Itoa(p.Length)
			sent++
		}
	}
	if !a.Out.Interactive {
		return a.Out.TSV(columns, rows)
	}
	if err := a.Out.Table("", columns, rows); err != nil {
		return err
	}
	return a.say(term.Count(sent, "secret", "secrets") + " would be set. Nothing was sent.")
}

// completeEnvFile offers what is named like a .env file, and directories. The shells' own way, by
// the end of a name, does not find .env.production.
func (a *App) completeEnvFile(_ *cobra.Command, _ []string, typed string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
	directory, name := filepath.Split(typed)
	place := directory
	if rest, found := strings.CutPrefix(directory, "~"+string(filepath.Separator)); found {
		place = filepath.Join(a.Track.Env("HOME"), rest)
	}
	if place == "" {
		place = "."
	}
	entries, err := os.ReadDir(place)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(place, entry.Name())) // of a link, what it leads to
		switch {
		case err != nil || !strings.HasPrefix(entry.Name(), name):
		case strings.HasPrefix(entry.Name(), ".env") && !info.IsDir():
			list = append(list, directory+entry.Name())
		case info.IsDir() && (name != "" || !strings.HasPrefix(entry.Name(), ".")):
			list = append(list, directory+entry.Name()+string(filepath.Separator))
			directive |= cobra.ShellCompDirectiveNoSpace
		}
	}
	return list, directive
}
