package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

func (a *app) newWhoami() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Tell who is logged in",
		Example: "  arcade whoami\n  arcade whoami --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.whoami(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print e-mail, principal and address as JSON")
	return cmd
}

// whoamiResult is what `whoami --json` prints.
type whoamiResult struct {
	Email       *string `json:"email"`
	PrincipalID *string `json:"principal_id"` // null until Arcade Cloud was asked
	CloudURL    string  `json:"cloud_url"`
}

func (a *app) whoami(ctx context.Context, asJSON bool) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	credentials, err := a.loggedIn(home)
	if err != nil {
		return err
	}
	principal := a.knownPrincipal(ctx, home, credentials)
	address := bareAddress(credentials.CloudURL())
	if asJSON {
		return a.printJSON(whoamiResult{orNull(credentials.Email), orNull(principal), address})
	}
	if principal == "" {
		principal = "not known yet"
	}
	email := credentials.Email
	if email == "" {
		email = "not in the credentials file"
	}
	_, err = fmt.Fprintf(a.out, "E-mail:     %s\nPrincipal:  %s\nCloud:      %s\n", email, principal, address)
	return err
}

// loggedIn reads the credentials file, and words what is wrong with it for a person.
func (a *app) loggedIn(home string) (identity.Credentials, error) {
	credentials, err := identity.ReadCredentials(credentialsPath(home))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return credentials, errNotLoggedIn
	case errors.Is(err, identity.ErrCredentialsInvalid):
		return credentials, failed("credentials damaged", "the credentials file is damaged",
			"Run 'arcade logout', which removes it, then 'arcade login'.")
	case err != nil:
		return credentials, failed("credentials unreadable", "the credentials file cannot be read: "+cause(err),
			"Run 'arcade logout', then 'arcade login'.")
	case !credentials.Present():
		return credentials, errNotLoggedIn
	}
	return credentials, nil
}

// knownPrincipal returns what was learned about the credentials, "" if nothing was, or if
// tracking is off and the database is not to be touched.
func (a *app) knownPrincipal(ctx context.Context, home string, credentials identity.Credentials) (principal string) {
	if !a.switches().on {
		return ""
	}
	err := a.outbox(home).View(ctx, func(tx *sql.Tx) (err error) {
		principal, err = identity.Principal(ctx, tx, credentials.Fingerprint())
		return err
	})
	if err != nil && !errors.Is(err, outbox.ErrNone) {
		return ""
	}
	return principal
}

// newCloud returns the Arcade Cloud that issued the credentials.
func (a *app) newCloud(credentials identity.Credentials) identity.Cloud {
	return identity.Cloud{BaseURL: credentials.CloudURL(), HTTP: a.httpClient()}
}
