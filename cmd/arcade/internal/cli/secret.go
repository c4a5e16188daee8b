package cli

import (
	"github.com/spf13/cobra"

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
