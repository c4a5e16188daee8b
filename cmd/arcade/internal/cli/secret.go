package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// newSecret makes the group of commands that manage tool secrets. Its -h is the host, as users
// of the Python CLI know it, so --help has no short form here.
func (a *App) newSecret() *cobra.Command {
	var at engineOptions
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Manage the secrets of your tools",
		Long: `Manage the secrets that your tools read when they run in Arcade Cloud. A value
goes to Arcade's Engine and nowhere else: it is never shown, kept or reported.

The credentials are the API key in ARCADE_API_KEY, or those of 'arcade login'.
HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are honoured.`,
		Example: "  arcade secret set MY_KEY\n  arcade secret list\n  arcade secret unset MY_KEY",
		Args:    cobra.ArbitraryArgs,
		RunE:    group,
	}
	flags := cmd.PersistentFlags()
	flags.StringVarP(&at.Host, "host", "h", secrets.DefaultHost, "the Engine's host, if it is not that of the login's Arcade Cloud")
	flags.StringVarP(&at.Port, "port", "p", "", "the Engine's port (default 9099 for localhost)")
	flags.BoolVar(&at.TLS, "tls", false, "use TLS (default for all hosts but localhost)")
	flags.BoolVar(&at.NoTLS, "no-tls", false, "do not use TLS, even if others can read the API key then")
	a.allowTracing(cmd)
	flags.StringVar(&at.org, "org", "", "the organization's id, for this command (with --project)")
	flags.StringVar(&at.project, "project", "", "the project's id, for this command")
	hostHasTheLetterH(cmd)
	cmd.SuggestionsMinimumDistance = 1 // set, list and unset are close to everything
	cmd.AddCommand(a.newSecretSet(&at), a.newSecretList(&at), a.newSecretUnset(&at), newSecretGet())
	return cmd
}

// newSecretGet answers those who look for a command that cannot be.
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

func (a *App) newSecretList(at *engineOptions) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:        "list",
		Short:      "List tool secrets, without their values",
		Aliases:    []string{"ls"},
		SuggestFor: []string{"show"},
		Long: `List the secrets in the Engine's order. Of a value at most its end is known, as
the Engine's hint. In a pipe the columns are separated by tabs, times are in
UTC, and what is absent is an empty field.`,
		Example: "  arcade secret list\n  arcade secret list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.engine(cmd, *at)
			if err != nil {
				return err
			}
			return a.secretList(cmd.Context(), client, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the Engine's items as a JSON array")
	return cmd
}

func (a *App) secretList(ctx context.Context, client *secrets.Client, asJSON bool) error {
	list, err := client.List(ctx)
	if err != nil {
		return a.engineFailure(err)
	}
	switch {
	case asJSON:
		items := make([]json.RawMessage, len(list))
		for i, secret := range list {
			items[i] = secret.Raw
		}
		return a.Out.JSON(items)
	case !a.Out.Interactive:
		return a.Out.TSV(secretColumns(list), secretRows(list, "", "", term.RFC3339))
	case len(list) == 0:
		return a.print("There are no tool secrets. 'arcade secret set KEY' adds one.")
	}
	now := a.Track.Now()
	rows := secretRows(list, "-", "Never", func(at time.Time) string { return term.Ago(at, now) })
	if err := a.Out.Table("Tool Secrets"+a.inProject(), secretColumns(list), rows); err != nil {
		return err
	}
	return a.print(term.Count(len(list), "secret", "secrets"))
}

func secretColumns(list []secrets.Secret) []term.Column {
	columns := []term.Column{
		{Title: "KEY", Shrink: true}, {Title: "TYPE", Drop: 3}, {Title: "DESCRIPTION", Drop: 4, Shrink: true},
		{Title: "LAST ACCESSED", Drop: 1}, {Title: "CREATED AT", Drop: 2},
	}
	if hasHints(list) {
		columns = slices.Insert(columns, hintColumn, term.Column{Title: "HINT"})
	}
	return columns
}

// hintColumn is where the hints stand if the Engine sends any.
const hintColumn = 3

func hasHints(list []secrets.Secret) bool {
	return slices.ContainsFunc(list, func(s secrets.Secret) bool { return s.Hint != "" })
}

// secretRows words each secret; word words a time, and absent and never what is not there.
func secretRows(list []secrets.Secret, absent, never string, word func(time.Time) string) [][]string {
	rows, hints := make([][]string, len(list)), hasHints(list)
	for i, s := range list {
		rows[i] = []string{
			textCell(s.Key, absent), textCell(s.Type, absent), textCell(s.Description, absent),
			timeCell(s.LastAccessedAt, never, word), timeCell(s.CreatedAt, absent, word),
		}
		if hints {
			rows[i] = slices.Insert(rows[i], hintColumn, hintCell(s.Hint, absent))
		}
	}
	return rows
}

// hintCell shows no more of a hint than a value is recognised by, should it be all of the value.
func hintCell(hint, absent string) string {
	runes := []rune(strings.TrimSpace(secrets.Printable(hint)))
	if len(runes) == 0 {
		return absent
	}
	return "..." + string(runes[max(len(runes)-4, 0):])
}

func textCell(text, absent string) string {
	return cmp.Or(strings.TrimSpace(secrets.Printable(text)), absent)
}

// timeCell shows a time that cannot be understood as the server wrote it.
func timeCell(text, absent string, word func(time.Time) string) string {
	at, err := secrets.ParseTime(text)
	switch {
	case text == "":
		return absent
	case err != nil:
		return textCell(text, absent)
	case at.IsZero(): // what Go programs write for none
		return absent
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
		Long: `Delete secrets by their keys. A key without a secret is a warning, unless none
of the keys has one. Of several secrets with one key, --type chooses one and
--all-types all of them. The exit code is 1 if any secret could not be deleted;
the others are deleted all the same.`,
		Example: "  arcade secret unset MY_KEY OTHER_KEY\n  arcade secret unset MY_KEY --type project",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, keys []string) error {
			switch {
			case len(keys) == 0:
				return wrongUsage(cmd, "no key", "give at least one key to delete")
			case o.AllTypes && o.Type != "":
				return wrongUsage(cmd, "both --type and --all-types", "--type and --all-types exclude each other")
			}
			client, err := a.engine(cmd, *at)
			if err != nil {
				return err
			}
			return a.secretUnset(cmd.Context(), client, keys, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&o.Type, "type", "", "delete only secrets of this type, as 'secret list' shows it")
	cmd.Flags().BoolVar(&o.AllTypes, "all-types", false, "delete all secrets with the key, whatever their types")
	return cmd
}

func (a *App) secretUnset(ctx context.Context, client *secrets.Client, keys []string, o secrets.UnsetOptions) error {
	deletions, err := client.Unset(ctx, keys, o)
	if err != nil {
		return a.engineFailure(err)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(keys)))
	results := verdicts{app: a, total: len(distinct), done: "deleted"}
	results.settle(client, deletions, func(_ int, result secrets.Result) { a.unsetResult(&results, result) })
	if c := results.counts; c.missing > 0 && c.missing == results.total {
		return nothingUnset(results.total, o.Type)
	}
	return results.err(ctx)
}

func (a *App) unsetResult(results *verdicts, result secrets.Result) {
	key := secrets.Printable(result.Key)
	if result.Type != "" {
		key += "' of type '" + secrets.Printable(result.Type)
	}
	switch {
	case result.Err == nil:
		results.counts.done++
		a.print(fmt.Sprintf("Secret '%s' deleted successfully%s", key, a.inProject()))
	case errors.Is(result.Err, secrets.ErrNoSuchSecret):
		if results.counts.missing++; results.total > 1 { // else it is the failure of the command
			a.warn(fmt.Sprintf("Warning: Secret with key '%s' not found, skipping", key))
		}
	default:
		results.fail(result.Err, fmt.Sprintf("Failed to delete secret '%s': ", key))
	}
}

// nothingUnset is the failure of a command that has found none of its keys: most likely they are
// mistyped, or the project is another.
func nothingUnset(keys int, ofType string) error {
	what := "there is no secret with this key"
	if keys > 1 {
		what = "there is no secret with any of these keys"
	}
	if ofType != "" {
		what += " and this type"
	}
	return failed("no such secret", what, "'arcade secret list' shows what there is.")
}
