package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
)

func (a *app) newLogout() *cobra.Command {
	return &cobra.Command{
		Use:     "logout",
		Short:   "Log out and forget the credentials",
		Example: "  arcade logout",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.logout()
		},
	}
}

func (a *app) logout() error {
	home, err := a.home()
	if err != nil {
		return err
	}
	path := credentialsPath(home)
	credentials, err := identity.ReadCredentials(path)
	if errors.Is(err, fs.ErrNotExist) {
		a.change = identity.Logout{}
		fmt.Fprintln(a.out, "You are not logged in.")
		return nil
	}
	fingerprint := ""
	if err == nil { // an unreadable file is removed all the same
		fingerprint = credentials.Fingerprint()
	}
	if err := identity.RemoveCredentials(path); err != nil {
		return failed("credentials not removed", "the credentials file cannot be removed: "+cause(err),
			"Remove it yourself; until then you are logged in.")
	}
	a.change = identity.Logout{Credential: fingerprint}
	fmt.Fprintln(a.out, "You are logged out.")
	return nil
}
