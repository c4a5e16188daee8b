package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// setOptions are the flags of 'arcade secret set'.
type setOptions struct {
	fromEnv  bool
	envFiles []string
	dryRun   bool
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
	cmd.Flags().StringArrayVarP(&o.envFiles, "env-file", "f", []string{".env"},
		"the file for --from-env; of several the later one counts; - is standard input")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show keys, lines and lengths, and send nothing")
	files := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	if err := cmd.RegisterFlagCompletionFunc("env-file", files); err != nil { // only for a flag that does not exist
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
	case !o.fromEnv && cmd.Flags().Changed("env-file"):
		return wrongUsage(cmd, "--env-file without --from-env", "--env-file needs --from-env")
	case len(args) == 0 && !o.fromEnv:
		return wrongUsage(cmd, "neither pairs nor --from-env",
			"either provide KEY=VALUE pairs or use --from-env to load from .env file.")
	case len(args) > 0 && o.fromEnv:
		return wrongUsage(cmd, "both pairs and --from-env",
			"cannot use both KEY=VALUE pairs and --from-env at the same time.")
	case len(slices.DeleteFunc(slices.Clone(o.envFiles), func(path string) bool { return path != "-" })) > 1:
		return wrongUsage(cmd, "standard input twice", "standard input can be read once: give - to --env-file once")
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
		file, err := a.readEnvFiles(ctx, o.envFiles)
		switch {
		case err != nil:
			return err
		case o.dryRun:
			return a.printPlan(file.Plan())
		}
		a.warnOfSkipped(file)
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
		f := wrongUsage(cmd, wrong.Problem.What, wrong.Error())
		f.hint = wrong.Problem.Do
		return f
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

// readEnvFiles reads all files before anything of them is used.
func (a *App) readEnvFiles(ctx context.Context, paths []string) (secrets.EnvFile, error) {
	files := make([]secrets.EnvFile, len(paths))
	for i, path := range paths {
		var err error
		if files[i], err = a.readEnvFile(ctx, path); err != nil {
			return secrets.EnvFile{}, err
		}
	}
	all := secrets.Join(files...)
	if len(all.Entries) > 0 {
		return all, nil
	}
	a.warnOfSkipped(all)
	names := make([]string, len(paths))
	for i, name := range all.Files {
		names[i] = "'" + secrets.Printable(name) + "'"
	}
	hint := "Name another file with --env-file."
	if slices.Contains(paths, "-") {
		hint = "Check the program that writes it."
	}
	return all, failed("env file: no secrets in it", "there is no KEY=VALUE in "+strings.Join(names, " or "), hint)
}

func (a *App) readEnvFile(ctx context.Context, path string) (secrets.EnvFile, error) {
	if path == "-" && a.Keyboard() { // what is typed would be shown
		return secrets.EnvFile{}, failed("env file: standard input is a terminal", "standard input is a terminal and no file",
			"Pipe the file in: arcade secret set --from-env -f - < .env")
	}
	// In its own goroutine, because the file may be a pipe: --env-file <(decrypt .env).
	file, err := term.Await(ctx, func() (secrets.EnvFile, error) {
		if path == "-" {
			return secrets.ReadEnv(a.In, "standard input")
		}
		return secrets.ReadEnvFile(path)
	})
	var problem *secrets.Problem
	if errors.As(err, &problem) {
		return file, failed("env file: "+problem.What, err.Error(), problem.Do)
	}
	return file, err
}

func (a *App) warnOfSkipped(file secrets.EnvFile) {
	for i, name := range file.Files {
		if skipped := file.SkippedInWords(name); skipped != "" && slices.Index(file.Files, name) == i {
			a.warn(fmt.Sprintf("Warning: skipped in '%s': %s", secrets.Printable(name), skipped))
		}
	}
}

func (a *App) sendPairs(ctx context.Context, client *secrets.Client, pairs []secrets.Pair, skipped int) error {
	results := verdicts{app: a, total: len(pairs), done: "set", counts: verdictCounts{skipped: skipped}}
	results.settle(client, client.Set(ctx, pairs), func(i int, result secrets.Result) {
		key := secrets.Printable(result.Key)
		if result.Err != nil {
			results.fail(result.Err, fmt.Sprintf("Error setting secret '%s': ", key))
			return
		}
		results.counts.done++
		a.print(fmt.Sprintf("Secret '%s' %sset successfully%s", key, endingWords(pairs[i].Value), a.inProject()))
	})
	return results.err(ctx)
}

func endingWords(value string) string {
	if ending := secrets.Ending(value); ending != "" {
		return "with value ending in ..." + ending + " "
	}
	return ""
}

// printPlan shows what would be set and skipped, and no value.
func (a *App) printPlan(plan []secrets.Planned) error {
	columns := []term.Column{
		{Title: "LINE", Right: true}, {Title: "KEY", Shrink: true}, {Title: "LENGTH", Right: true}, {Title: "SKIPPED", Shrink: true},
	}
	several := slices.ContainsFunc(plan, func(p secrets.Planned) bool { return p.File != plan[0].File })
	if several {
		columns = append(columns, term.Column{Title: "FILE", Shrink: true})
	}
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
		if several {
			rows[i] = append(rows[i], secrets.Printable(p.File))
		}
	}
	if !a.Out.Interactive {
		return a.Out.TSV(columns, rows)
	}
	if err := a.Out.Table("", columns, rows); err != nil {
		return err
	}
	return a.print(term.Count(sent, "secret", "secrets") + " would be set. Nothing was sent.")
}
