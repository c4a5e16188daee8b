package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// setOptions are the flags of `arcade secret set`.
type setOptions struct {
	fromEnv bool
	envFile string
}

func (a *app) newSecretSet(at *secrets.Options) *cobra.Command {
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

  - empty lines and lines that start with # do not count; lines without =,
    without a key or without a value are skipped
  - a comment starts at the first # after a blank, outside quotes
  - single and double quotes around a value are removed; between them a value
    may go over several lines; an open quote is part of the value
  - in double quotes \n and \r are line breaks, and \\ \" \$ \! \` + "`" + ` mean the
    second character; all else, a $ above all, means itself everywhere
  - 'export' before a key, Windows line ends and a byte order mark are fine

The exit code is 1 if any secret could not be set; the others are set all the
same.`,
		Example: "  arcade secret set MY_KEY\n  arcade secret set MY_KEY=- < key.pem\n  arcade secret set --from-env -f .env.production",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd, args); err != nil {
				return err
			}
			return a.secretSet(cmd, *at, o, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&o.fromEnv, "from-env", false, "set the secrets in a .env file")
	cmd.Flags().StringVarP(&o.envFile, "env-file", "f", ".env", "the file for --from-env")
	return cmd
}

func (o setOptions) check(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 && !o.fromEnv:
		return wrongUsage(cmd, "neither pairs nor --from-env",
			"Either provide KEY=VALUE pairs or use --from-env to load from .env file.")
	case len(args) > 0 && o.fromEnv:
		return wrongUsage(cmd, "both pairs and --from-env",
			"Cannot use both KEY=VALUE pairs and --from-env at the same time.")
	case !o.fromEnv && cmd.Flags().Changed("env-file"):
		return wrongUsage(cmd, "--env-file without --from-env", "--env-file is only used with --from-env")
	}
	return nil
}

func (a *app) secretSet(cmd *cobra.Command, at secrets.Options, o setOptions, args []string) error {
	ctx := cmd.Context()
	inputs, err := a.parsePairs(args)
	if err != nil {
		return wrongPair(cmd, err)
	}
	client, err := a.engine(cmd, at) // nobody has to type a secret that cannot be sent
	if err != nil {
		return err
	}
	var pairs []secrets.Pair
	if o.fromEnv {
		pairs, err = a.readEnvFile(ctx, o.envFile)
	} else if pairs, err = a.readValues(ctx, inputs); err != nil {
		err = wrongPair(cmd, err)
	}
	if err != nil {
		return err
	}
	return a.sendPairs(ctx, client, pairs)
}

// parsePairs is secrets.ParsePairs with a look at whether a lone key can be asked for.
func (a *app) parsePairs(args []string) ([]secrets.Input, error) {
	inputs, err := secrets.ParsePairs(args)
	for _, in := range inputs {
		if in.Source == secrets.Prompt && a.keyboard() == nil {
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
	what, hint := inTwo(err)
	return failed("value not read", what, cmp.Or(hint, "Pipe it in: arcade secret set KEY=- < value.txt"))
}

// readValues fetches the values that are not in the arguments. On a terminal KEY=- is asked
// for, too: a typed secret would be shown otherwise.
func (a *app) readValues(ctx context.Context, inputs []secrets.Input) ([]secrets.Pair, error) {
	keyboard := a.keyboard()
	if keyboard == nil {
		return await(ctx, func() ([]secrets.Pair, error) { return secrets.Resolve(inputs, a.in, nil) })
	}
	for i := range inputs {
		if inputs[i].Source == secrets.Stdin {
			inputs[i].Source = secrets.Prompt
		}
	}
	return secrets.Resolve(inputs, nil, func(key string) (string, error) {
		value, err := a.askHidden(ctx, keyboard, fmt.Sprintf("Value of '%s' (not shown): ", secrets.Printable(key)))
		if errors.Is(err, errTooLongToType) {
			err = fmt.Errorf("%w; write KEY=- and read the value from a file", err)
		}
		return value, err
	})
}

func (a *app) readEnvFile(ctx context.Context, path string) ([]secrets.Pair, error) {
	// In its own goroutine, because the file may be a pipe: --env-file <(decrypt .env).
	file, err := await(ctx, func() (secrets.EnvFile, error) { return secrets.ReadEnvFile(path) })
	var unusable *secrets.EnvFileError
	if errors.As(err, &unusable) {
		what, hint := inTwo(err)
		return nil, failed("env file: "+withoutAdvice(unusable.Problem), what, hint)
	}
	if err != nil {
		return nil, err
	}
	name := secrets.Printable(path)
	if n := len(file.Skipped); n > 0 {
		a.warn(fmt.Sprintf("Warning: %s of '%s' skipped, without =, without a key or without a value: %s",
			count(n, "line", "lines"), name, joinNumbers(file.Skipped)))
	}
	if len(file.Pairs) == 0 {
		return nil, failed("env file: no secrets in it", fmt.Sprintf("there is no KEY=VALUE in '%s'", name),
			"Name another file with --env-file.")
	}
	return file.Pairs, nil
}

func joinNumbers(numbers []int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}

// sendPairs sets the secrets and says of each, in the order given, what became of it.
func (a *app) sendPairs(ctx context.Context, client *secrets.Client, pairs []secrets.Pair) error {
	progress := a.newProgress(len(pairs))
	progress.on = progress.on && len(pairs) > 1
	progress.show(0)
	results, settled := verdicts{app: a}, 0
	for result := range client.Set(ctx, pairs) {
		progress.done()
		key := secrets.Printable(result.Key)
		if result.Err != nil {
			results.fail(result.Err, fmt.Sprintf("Error setting secret '%s': %s", key, reasonOf(result.Err)))
		} else {
			fmt.Fprintf(a.out, "Secret '%s' %sset successfully\n", key, endingWords(pairs[settled].Value))
		}
		settled++
		progress.show(settled)
	}
	progress.done()
	return results.err(len(pairs), "set")
}

func endingWords(value string) string {
	if ending := secrets.Ending(value); ending != "" {
		return "with value ending in ..." + ending + " "
	}
	return ""
}

// reasonOf words why a key was not set.
func reasonOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted before the Engine has answered"
	}
	what, _ := inTwo(err)
	return what
}
