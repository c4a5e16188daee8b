package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

func (a *App) newSecret() *cobra.Command {
	var at engineOptions
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Manage the secrets of your tools",
		Long: `Manage the secrets that your tools read when they run in Arcade Cloud. A value
goes to Arcade's Engine and nowhere else. It is neither kept nor reported, and
no more than its last characters is shown.

The credentials are the API key in ARCADE_API_KEY, or those of 'arcade login'.
HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are honoured.`,
		Example: "  arcade secret set MY_KEY\n  arcade secret list\n  arcade secret unset MY_KEY",
	}
	flags := cmd.PersistentFlags()
	flags.StringVarP(&at.Host, "host", "h", secrets.DefaultHost, "the Engine's host, if not that of the login's Arcade Cloud")
	flags.StringVarP(&at.Port, "port", "p", "", "the Engine's port (default 9099 for localhost)")
	flags.BoolVar(&at.TLS, "tls", false, "use TLS (default for all hosts but localhost)")
	flags.BoolVar(&at.NoTLS, "no-tls", false, "do not use TLS, even where others can then read the API key")
	a.allowTracing(cmd)
	flags.StringVar(&at.org, "org", "", "use the organization with this id (needs --project)")
	flags.StringVar(&at.project, "project", "", "use the project with this id")
	hostHasTheLetterH(cmd)
	cmd.SuggestionsMinimumDistance = 1 // set, list and unset are close to everything
	cmd.AddCommand(a.newSecretSet(&at), a.newSecretList(&at), a.newSecretUnset(&at), newSecretGet())
	return cmd
}

// newSecretGet explains why values cannot be read.
func newSecretGet() *cobra.Command {
	return &cobra.Command{
		Use:                "get",
		Short:              "Say why values cannot be read",
		Example:            "  arcade secret list",
		Hidden:             true,
		Args:               cobra.ArbitraryArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(*cobra.Command, []string) error {
			return failed("values cannot be read", "values cannot be read: the Engine gives them to your tools only, when they run",
				"'arcade secret list' shows what there is, 'arcade secret set KEY' replaces a value.")
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

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
		Long: `Add secrets, or replace those that exist. The first = of an argument ends the
key; the value arrives as it is written. The shell keeps what you type in its
history, so a value can also be read:

  KEY=-   reads the value from standard input, without its last line break
  KEY     asks for the value on the terminal and does not show it

--from-env sets all secrets of a .env file, in which

  - a key is a name of letters, digits, _, - and ., without a digit or - first;
    'export' before it is fine
  - a comment starts at the first # after a blank, outside quotes
  - single and double quotes around a value are removed; between them a value
    may go over several lines
  - in double quotes \n and \r are line breaks, and \\ \" \$ stand for their
    second character; everything else, above all a $, stands for itself
  - lines without = or without a value are skipped with a warning

The whole file is read first. A key that is not a name, an open quote, text
after a quote, a PEM block or JSON without quotes, or a [section] means that
nothing is sent. --dry-run shows what would be.

The exit code is 1 if any secret could not be set. The others are set all the
same, unless they would fail for the same reason.`,
		Example: "  arcade secret set MY_KEY\n  arcade secret set MY_KEY=- < key.pem\n" +
			"  arcade secret set --from-env -f .env.production\n  decrypt .env.enc | arcade secret set --from-env -f - --dry-run",
		RunE:              func(cmd *cobra.Command, args []string) error { return a.secretSet(cmd, *at, o, args) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if errors.As(err, new(*pflag.NotExistError)) { // a blank may have cut a value off from its key
			return wrongUsage(cmd, "unknown flag", "there is no such flag; a value that starts with - is written KEY=-value")
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
	cmd.Flags().BoolVar(&o.fromEnv, "from-env", false, "set the secrets in a .env file")
	cmd.Flags().StringArrayVarP(&o.envFiles, "env-file", "f", []string{".env"},
		"the `file` for --from-env, - for standard input; of several, the last one that sets a key counts")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show keys, lines and lengths, and send nothing")
	files := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	_ = cmd.RegisterFlagCompletionFunc("env-file", files) // an error means an unknown flag
	return cmd
}

func (a *App) secretSet(cmd *cobra.Command, at engineOptions, o setOptions, args []string) error {
	ctx := cmd.Context()
	switch stdin := slices.Index(o.envFiles, "-"); {
	case !o.fromEnv && cmd.Flags().Changed("env-file"):
		return wrongUsage(cmd, "--env-file without --from-env", "--env-file needs --from-env")
	case len(args) == 0 && !o.fromEnv:
		return wrongUsage(cmd, "neither pairs nor --from-env",
			"either provide KEY=VALUE pairs or use --from-env to load from .env file.")
	case len(args) > 0 && o.fromEnv:
		return wrongUsage(cmd, "both pairs and --from-env",
			"cannot use both KEY=VALUE pairs and --from-env at the same time.")
	case slices.Contains(o.envFiles[stdin+1:], "-"):
		return wrongUsage(cmd, "standard input twice", "standard input can be read once: give - to --env-file once")
	}
	inputs, err := secrets.ParsePairs(args, a.Keyboard())
	if err != nil {
		return wrongPair(cmd, err)
	}
	var e *engine
	if !o.dryRun {
		if e, err = a.engine(cmd, at); err != nil { // before the user types a secret that cannot be sent
			return err
		}
	}
	var plan secrets.Plan
	if o.fromEnv {
		plan, err = a.readEnvFiles(ctx, o.envFiles)
	} else {
		plan, err = a.readValues(cmd, inputs)
	}
	switch {
	case err != nil:
		return err
	case o.dryRun:
		return a.printPlan(plan)
	}
	a.warnOfSkipped(plan)
	pairs := plan.Pairs()
	results := outcomes{engine: e, total: len(pairs), verb: "set", begins: "Error setting secret", pairs: pairs}
	results.skipped = len(plan) - len(pairs)
	results.printEach(e.Set(ctx, pairs))
	return results.end(ctx)
}

// wrongPair words an error about an argument or its value.
func wrongPair(cmd *cobra.Command, err error) error {
	var problem *secrets.Problem
	if errors.As(err, &problem) {
		f := wrongUsage(cmd, problem.What, err.Error())
		f.hint = problem.Do
		return f
	}
	return failed("value not read", err.Error(), "Pipe it in: arcade secret set KEY=- < file")
}

// readValues fetches the values that are not in the arguments. A terminal would show a value typed for KEY=-, so
// there it becomes a hidden question.
func (a *App) readValues(cmd *cobra.Command, inputs []secrets.Input) (secrets.Plan, error) {
	plan, err := secrets.Resolve(inputs, func(key string) (string, error) {
		if a.Keyboard() {
			return a.AskHidden(cmd.Context(), fmt.Sprintf("Value of '%s' (not shown): ", secrets.Printable(key)))
		}
		return term.Await(cmd.Context(), func() (string, error) { return secrets.ReadValue(a.In) })
	})
	if err != nil {
		return nil, wrongPair(cmd, err)
	}
	return plan, nil
}

// readEnvFiles reads all files, or fails.
func (a *App) readEnvFiles(ctx context.Context, paths []string) (secrets.Plan, error) {
	if slices.Contains(paths, "-") && a.Keyboard() { // it would show what is typed
		return nil, failed("env file: standard input is a terminal", "standard input is a terminal and no file",
			"Pipe the file in: arcade secret set --from-env -f - < .env")
	}
	// A file may be a pipe, whose read cannot be stopped: --env-file <(decrypt .env).
	plan, err := term.Await(ctx, func() (secrets.Plan, error) { return secrets.ReadEnvFiles(paths, a.In) })
	if problem := (*secrets.Problem)(nil); errors.As(err, &problem) {
		a.warnOfSkipped(plan)
		return nil, failed("env file: "+problem.What, err.Error(), problem.Do)
	}
	return plan, err
}

func (a *App) warnOfSkipped(plan secrets.Plan) {
	for _, skipped := range plan.Skipped() {
		a.warn("Warning: " + skipped)
	}
}

// printPlan shows what would be set and skipped, without values.
func (a *App) printPlan(plan secrets.Plan) error {
	l := listing{columns: []term.Column{
		{Title: "LINE", Right: true}, {Title: "KEY", Shrink: true}, {Title: "LENGTH", Right: true}, {Title: "SKIPPED", Shrink: true},
		{Title: "FILE", Shrink: true},
	}}
	for _, entry := range plan {
		line, length, skipped := "", "", ""
		if entry.Line > 0 {
			line = strconv.Itoa(entry.Line)
		}
		if entry.Problem != nil {
			skipped = entry.Problem.What
		} else {
			length = strconv.Itoa(utf8.RuneCountInString(entry.Value))
		}
		l.rows = append(l.rows, []string{line, secrets.Printable(entry.Key), length, skipped, secrets.Printable(entry.File)})
	}
	if !slices.ContainsFunc(plan, func(entry secrets.Entry) bool { return entry.File != plan[0].File }) {
		l.dropColumn(4)
	}
	l.below = term.Count(len(plan.Pairs()), "secret", "secrets") + " would be set. Nothing was sent."
	return a.printList(false, l)
}

func (a *App) newSecretList(at *engineOptions) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:        "list",
		Short:      "List tool secrets, without their values",
		Aliases:    []string{"ls"},
		SuggestFor: []string{"show"},
		Long: `List the secrets in the Engine's order. Of a value, the Engine tells its end at
most, as a hint. In a pipe, tabs separate the columns, times are in UTC, and
what is absent is an empty field.`,
		Example: "  arcade secret list\n  arcade secret list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.engine(cmd, *at)
			if err != nil {
				return err
			}
			found, err := e.List(cmd.Context())
			if err != nil {
				return e.failure(err)
			}
			return a.printSecrets(e, found, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the Engine's items as a JSON array")
	return cmd
}

func (a *App) printSecrets(e *engine, found []secrets.Secret, asJSON bool) error {
	absent, never, word := "", "", term.RFC3339
	if a.Out.Interactive {
		now := a.Track.Now()
		absent, never, word = "-", "Never", func(at time.Time) string { return term.Ago(at, now) }
	}
	l := listing{title: "Tool Secrets" + e.inProject, none: "There are no tool secrets. 'arcade secret set KEY' adds one.",
		columns: []term.Column{
			{Title: "KEY", Shrink: true}, {Title: "TYPE", Drop: 3}, {Title: "DESCRIPTION", Drop: 4, Shrink: true}, {Title: "HINT"},
			{Title: "LAST ACCESSED", Drop: 1}, {Title: "CREATED AT", Drop: 2},
		}}
	const hints = 3
	items, hinted := make([]json.RawMessage, len(found)), false
	for i, s := range found {
		items[i] = s.Raw
		hinted = hinted || s.Hint != ""
		hint := []rune(textCell(s.Hint)) // which may be the whole value
		if len(hint) > 0 {
			hint = append([]rune("..."), hint[max(len(hint)-4, 0):]...)
		}
		row := []string{
			textCell(s.Key), textCell(s.Binding.Type), textCell(s.Description), string(hint),
			cmp.Or(timeCell(s.LastAccessedAt, word), never), timeCell(s.CreatedAt, word),
		}
		for at, cell := range row {
			row[at] = cmp.Or(cell, absent)
		}
		l.rows = append(l.rows, row)
	}
	if !hinted {
		l.dropColumn(hints)
	}
	l.items, l.below = items, term.Count(len(found), "secret", "secrets")
	return a.printList(asJSON, l)
}

func textCell(text string) string { return strings.TrimSpace(secrets.Printable(text)) }

// timeCell words a time. One that cannot be read is shown as the server wrote it.
func timeCell(text string, word func(time.Time) string) string {
	at, err := secrets.ParseTime(text)
	switch {
	case text == "", err == nil && at.IsZero(): // what Go programs write for none
		return ""
	case err != nil:
		return textCell(text)
	}
	return word(at)
}

func (a *App) newSecretUnset(at *engineOptions) *cobra.Command {
	var o secrets.UnsetOptions
	cmd := &cobra.Command{
		Use:        "unset KEY...",
		Aliases:    []string{"rm", "delete"},
		Short:      "Delete tool secrets",
		SuggestFor: []string{"remove"},
		Long: `Delete secrets by their keys. A key that does not exist is a warning; only keys
that do not exist are an error. Of several secrets with one key, --type chooses
one and --all-types all of them. The exit code is 1 if any secret could not be
deleted; the others are deleted all the same.`,
		Example: "  arcade secret unset MY_KEY OTHER_KEY\n  arcade secret unset MY_KEY --type project",
		RunE: func(cmd *cobra.Command, keys []string) error {
			switch {
			case len(keys) == 0:
				return wrongUsage(cmd, "no key", "give at least one key to delete")
			case o.AllTypes && o.Type != "":
				return wrongUsage(cmd, "both --type and --all-types", "--type and --all-types exclude each other")
			}
			e, err := a.engine(cmd, *at)
			if err != nil {
				return err
			}
			return a.secretUnset(cmd.Context(), e, keys, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&o.Type, "type", "", "delete only secrets of this type, as 'secret list' shows it")
	cmd.Flags().BoolVar(&o.AllTypes, "all-types", false, "delete all secrets with the key, of whatever type")
	return cmd
}

func (a *App) secretUnset(ctx context.Context, e *engine, keys []string, o secrets.UnsetOptions) error {
	deletions, err := e.Unset(ctx, keys, o)
	if err != nil {
		return e.failure(err)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
	results := outcomes{engine: e, total: len(distinct), verb: "deleted", begins: "Failed to delete secret"}
	results.printEach(deletions)
	if results.missing == 0 || results.done+results.failed+results.untried > 0 {
		return results.end(ctx)
	}
	what := "there is no secret with this key" // most likely it is mistyped, or the project is wrong
	if results.total > 1 {
		what = "there is no secret with any of these keys"
	}
	if o.Type != "" {
		what += " and this type"
	}
	return failed("no such secret", what, "'arcade secret list' shows what there is.")
}
