package cli

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

func (a *App) newContext() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Show or change the installation that you work with",
		Long: `A context is a login at one installation of Arcade: Arcade Cloud, or one of your
own. Without a command, show the name of the active one. ARCADE_CONTEXT names
another for one command; 'arcade login --url' makes one.`,
		Example: "  arcade context\n  arcade context list\n  arcade context set NAME",
		RunE: func(*cobra.Command, []string) error {
			login, err := a.loggedIn()
			if err != nil {
				return err
			}
			defer a.noteKey(keyBeatsLogin)
			return a.print(secrets.Printable(cmp.Or(login.Name, identity.DefaultContext)))
		},
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the contexts that you are logged in to",
		Aliases: []string{"ls"},
		Example: "  arcade context list\n  arcade context list --json",
		RunE:    func(*cobra.Command, []string) error { return a.listContexts(asJSON) },
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print them as a JSON array")
	set := &cobra.Command{
		Use:               "set NAME",
		Short:             "Work with another context",
		Aliases:           []string{"use"},
		Example:           "  arcade context set NAME",
		RunE:              a.setContext,
		ValidArgsFunction: a.completeContexts,
	}
	show := &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show a context, the active one if none is named",
		Example:           "  arcade context show\n  arcade context show NAME --json",
		RunE:              func(cmd *cobra.Command, args []string) error { return a.showContext(cmd, args, asJSON) },
		ValidArgsFunction: a.completeContexts,
	}
	show.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	a.allowTracing(cmd)
	cmd.AddCommand(list, set, show)
	return cmd
}

// ListedContext is one item of `context list --json`, and what `context show --json` prints.
type ListedContext struct {
	Name         string  `json:"name"`
	Kind         string  `json:"kind"` // cloud or self_hosted
	EngineURL    *string `json:"engine_url"`
	CloudURL     *string `json:"cloud_url"`
	DashboardURL *string `json:"dashboard_url"`
	Email        *string `json:"email"`
	Active       bool    `json:"active"`
}

func (c ListedContext) kindInWords() string { return strings.ReplaceAll(c.Kind, "_", "-") }

// contexts are those of the file, with the name of the one in force. Without a file there are none.
func (a *App) contexts() (items []ListedContext, err error) {
	s, err := a.session()
	if err != nil {
		return nil, err
	}
	logins, err := s.File.Logins()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, a.loginFailure(err)
	}
	if _, found := logins.Find(s.File.Context); err == nil && s.File.Context != "" && !found {
		return nil, contextFailure(logins.Names())
	}
	active := cmp.Or(s.File.Context, logins.Active)
	items = []ListedContext{}
	for _, login := range logins.Contexts {
		name := cmp.Or(login.Name, identity.DefaultContext)
		engine, _ := identity.Using{Login: login, FromFile: true}.Engine() // "" if it is not known
		items = append(items, ListedContext{
			Name: name, Kind: either(login.SelfHosted(), identity.SelfHosted, identity.ArcadeCloud),
			EngineURL: shownAddress(engine), CloudURL: shownAddress(login.CloudURL()), DashboardURL: shownAddress(login.DashboardURL),
			Email: orNull(login.Email), Active: name == active,
		})
	}
	slices.SortFunc(items, func(x, y ListedContext) int { return strings.Compare(x.Name, y.Name) })
	return items, nil
}

func (a *App) listContexts(asJSON bool) error {
	items, err := a.contexts()
	if err != nil {
		return err
	}
	l := listing{
		columns: []term.Column{{Title: "NAME"}, {Title: "KIND", Drop: 2}, {Title: "ENGINE", Shrink: true, Drop: 1}, {Title: "ACTIVE"}},
		items:   items,
		none:    "There are no contexts: you are not logged in.",
		below:   term.Count(len(items), "context", "contexts") + ". 'arcade context set NAME' changes the active one.",
	}
	for _, c := range items {
		l.rows = append(l.rows, []string{c.Name, c.kindInWords(), valueOr(c.EngineURL, ""), a.tick(c.Active)})
	}
	return a.printList(asJSON, l)
}

func (a *App) setContext(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return wrongUsage(cmd, "not one argument", "give the name of a context, and only one")
	}
	name := args[0]
	s, err := a.session()
	if err != nil {
		return err
	}
	if err := s.File.Activate(cmd.Context(), name); err != nil {
		return a.loginFailure(err)
	}
	if other := a.Track.Env("ARCADE_CONTEXT"); other != "" && other != name {
		a.note("ARCADE_CONTEXT is set, too: commands go on using the context that it names.")
	}
	a.noteKey(keyBeatsLogin)
	return a.print("The context " + secrets.Printable(name) + " is active now.")
}

func (a *App) showContext(cmd *cobra.Command, args []string, asJSON bool) error {
	if len(args) > 1 {
		return wrongUsage(cmd, "not one argument", "give the name of a context, and only one")
	}
	name := strings.Join(args, "")
	items, err := a.contexts()
	if err != nil {
		return err
	}
	var names []string
	for _, c := range items {
		names = append(names, c.Name)
		if c.Name != name && (name != "" || !c.Active) {
			continue
		}
		if asJSON {
			return a.Out.JSON(c)
		}
		return a.print(a.labelledLines([][2]string{
			{"Name", c.Name}, {"Kind", c.kindInWords()}, {"E-mail", valueOr(c.Email, "unknown")},
			{"Engine", valueOr(c.EngineURL, "unknown")}, {"Cloud", valueOr(c.CloudURL, "none")},
			{"Dashboard", valueOr(c.DashboardURL, "unknown")}, {"Active", either(c.Active, "yes", "no")},
		}, 12))
	}
	return contextFailure(names)
}

// completeContexts offers all names: the shell's script drops those that do not begin with the word.
func (a *App) completeContexts(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if items, err := a.contexts(); err == nil && len(args) == 0 {
		for _, c := range items {
			names = append(names, cobra.CompletionWithDesc(c.Name, valueOr(c.EngineURL, c.kindInWords())))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *App) newLogout() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Log out and delete the credentials",
		Long: "Log out of the active context, or with --all of all of them, and delete the\n" +
			"credentials.",
		Example: "  arcade logout\n  arcade logout --all",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.logout(cmd.Context(), all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "log out of all contexts")
	a.allowTracing(cmd)
	return cmd
}

func (a *App) logout(ctx context.Context, all bool) error {
	s, err := a.session()
	if err != nil {
		return err
	}
	defer a.noteKey("ARCADE_API_KEY is still set: commands go on using that key.")
	logins, err := s.File.Logins()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.change = identity.Logout{}
		return a.print("You are not logged in.")
	case errors.Is(err, identity.ErrCredentialsNewer) && !all:
		return a.loginFailure(err)
	}
	login, found := logins.Find(cmp.Or(s.File.Context, logins.Active))
	if err == nil && s.File.Context != "" && !found {
		return contextFailure(logins.Names())
	}
	said, gone := "You are logged out.", logins.Contexts
	if all || len(gone) < 2 { // an unreadable file is removed, too
		if err := s.File.Remove(); err != nil {
			return a.fileFailure("credentials not removed", "the credentials file cannot be removed: ", err)
		}
	} else {
		left, err := s.File.Forget(ctx, login)
		if err != nil {
			return a.loginFailure(err)
		}
		gone = []identity.Credentials{login}
		said = "You are logged out of the context " + secrets.Printable(login.Name) + ". Left: " +
			secrets.Printable(strings.Join(left.Names(), ", ")) + "; " + secrets.Printable(left.Active) + " is active now."
	}
	switch ofCloud := func(c identity.Credentials) bool { return !c.SelfHosted() }; {
	case len(gone) > 0 && !slices.ContainsFunc(gone, ofCloud):
		a.change = identity.Apart{}
	case login.SelfHosted():
		a.change = identity.Logout{Apart: true}
	default:
		a.change = identity.Logout{Credential: login.Fingerprint()}
	}
	if login.APIKey != "" {
		said += "\nThe API key itself stays valid."
	} else if login.Present() {
		said += "\nThe session at " + login.Server() + " stays valid until it expires."
	}
	return a.print(said)
}
