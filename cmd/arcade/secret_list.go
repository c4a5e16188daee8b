package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func (a *app) newSecretList(at *secrets.Options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:        "list",
		Short:      "List tool secrets, without their values",
		SuggestFor: []string{"ls", "show", "get"},
		Long: `List the secrets in the Engine's order. Of a value only its end is known, as the
Engine's hint. In a pipe the columns are separated by tabs and times are in UTC.`,
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

func (a *app) secretList(ctx context.Context, client *secrets.Client, asJSON bool) error {
	list, err := client.List(ctx)
	if err != nil {
		return engineFailure(err)
	}
	t := a.terminal(a.out)
	switch {
	case asJSON:
		return a.printItems(list)
	case !t.interactive:
		return printTSV(a.out, secretColumns(), secretRows(list, rfc3339))
	case len(list) == 0:
		_, err := fmt.Fprintln(a.out, "There are no tool secrets. 'arcade secret set KEY' adds one.")
		return err
	}
	now := a.now()
	rows := secretRows(list, func(at time.Time) string { return ago(at, now) })
	printTable(a.out, "Tool Secrets", secretColumns(), rows, t)
	return nil
}

// printItems prints the items as they were received, but nothing that a terminal obeys.
func (a *app) printItems(list []secrets.Secret) error {
	items := make([]json.RawMessage, len(list))
	for i, secret := range list {
		items[i] = secret.Raw
	}
	var document strings.Builder
	encoder := json.NewEncoder(&document)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(items); err != nil {
		return err
	}
	_, err := a.out.Write(secrets.PrintableJSON([]byte(document.String())))
	return err
}

func secretColumns() []column {
	return []column{
		{title: "Key"}, {title: "Type", drop: 3}, {title: "Description", drop: 4, shrink: true},
		{title: "Hint"}, {title: "Last Accessed", drop: 1}, {title: "Created At", drop: 2},
	}
}

// secretRows words each secret; word words a time. What is absent is "-".
func secretRows(list []secrets.Secret, word func(time.Time) string) [][]string {
	rows := make([][]string, len(list))
	for i, s := range list {
		hint := ""
		if s.Hint != "" {
			hint = "..." + s.Hint
		}
		rows[i] = []string{
			textCell(s.Key), textCell(s.Type), textCell(s.Description), textCell(hint),
			timeCell(s.LastAccessedAt, "Never", word), timeCell(s.CreatedAt, "-", word),
		}
	}
	return rows
}

func textCell(text string) string {
	return cmp.Or(strings.TrimSpace(secrets.Printable(text)), "-")
}

// timeCell shows a time that cannot be understood as the server wrote it.
func timeCell(text, absent string, word func(time.Time) string) string {
	at, err := secrets.ParseTime(text)
	switch {
	case text == "":
		return absent
	case err != nil:
		return textCell(text)
	case at.IsZero(): // what Go programs write for none
		return absent
	}
	return word(at)
}
