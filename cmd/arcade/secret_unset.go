package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func (a *app) newSecretUnset(at *secrets.Options) *cobra.Command {
	return &cobra.Command{
		Use:        "unset KEY...",
		Short:      "Delete tool secrets",
		SuggestFor: []string{"delete", "remove", "rm"},
		Long: `Delete secrets by their keys. A key without a secret is no error. The exit code
is 1 if any secret could not be deleted; the others are deleted all the same.`,
		Example: "  arcade secret unset MY_KEY OTHER_KEY",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, keys []string) error {
			if len(keys) == 0 {
				return wrongUsage(cmd, "no key", "give at least one key to delete")
			}
			client, err := a.engine(cmd, *at)
			if err != nil {
				return err
			}
			return a.secretUnset(cmd.Context(), client, keys)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func (a *app) secretUnset(ctx context.Context, client *secrets.Client, keys []string) error {
	deletions, err := client.Unset(ctx, keys)
	if err != nil {
		return engineFailure(err)
	}
	results, total := verdicts{app: a}, 0
	for result := range deletions {
		total++
		key := secrets.Printable(result.Key)
		switch {
		case result.Err == nil:
			fmt.Fprintf(a.out, "Secret '%s' deleted successfully\n", key)
		case errors.Is(result.Err, secrets.ErrNoSuchSecret):
			a.warn(fmt.Sprintf("Warning: Secret with key '%s' not found, skipping", key))
		default:
			results.fail(result.Err, fmt.Sprintf("Failed to delete secret '%s'%s", key, whyNotDeleted(result.Err)))
		}
	}
	return results.err(total, "deleted")
}

// whyNotDeleted guesses at the permission only where the Engine has refused.
func whyNotDeleted(err error) string {
	var status *secrets.StatusError
	if errors.As(err, &status) {
		return fmt.Sprintf(". Do you have permission to delete this secret? (HTTP %d)", status.Status)
	}
	return ": " + reasonOf(err)
}
