package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// place is one of the two levels at which a login works: an organization, or a project in it.
type place struct {
	*App
	name, noun, plural string          // `org`, `organization`, `organizations`
	at                 secrets.Options // the login's Arcade Cloud, from the flags
}

func (a *App) newOrg() *cobra.Command {
	return newPlace(&place{App: a, name: "org", noun: "organization", plural: "organizations"})
}

func (a *App) newProject() *cobra.Command {
	return newPlace(&place{App: a, name: "project", noun: "project", plural: "projects"})
}

func (p *place) isOrg() bool { return p.name == "org" }

func newPlace(p *place) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   p.name,
		Short: "Show or change the " + p.noun + " that you work in",
		Long: "Without a command, show the " + p.noun + " that you work in. Secrets belong to a\n" +
			"project, and projects to an organization. The Python CLI uses the same ones.",
		Example: fmt.Sprintf("  arcade %s\n  arcade %[1]s list\n  arcade %[1]s set NAME", p.name),
		RunE:    p.show,
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the " + p.plural + " that you can work in",
		Aliases: []string{"ls"},
		Example: fmt.Sprintf("  arcade %s list\n  arcade %[1]s list --json", p.name),
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.list(cmd, asJSON) },
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print them as a JSON array")
	set := &cobra.Command{
		Use:               "set NAME|ID",
		Short:             "Work in another " + p.noun,
		Example:           fmt.Sprintf("  arcade %s set NAME", p.name),
		RunE:              p.set,
		ValidArgsFunction: p.complete,
	}
	flags := cmd.PersistentFlags()
	flags.StringVarP(&p.at.Host, "host", "h", "", "Arcade Cloud's host; it has to be the login's")
	flags.StringVarP(&p.at.Port, "port", "p", "", "Arcade Cloud's port; it has to be the login's")
	flags.BoolVar(&p.at.TLS, "tls", false, "use TLS; the login has to use it, too")
	flags.BoolVar(&p.at.NoTLS, "no-tls", false, "do not use TLS; the login may not use it either")
	p.allowTracing(cmd)
	hostHasTheLetterH(cmd)
	cmd.AddCommand(list, set)
	return cmd
}

func (p *place) show(cmd *cobra.Command, _ []string) error {
	login, err := p.login(cmd, p.loggedIn)
	if err != nil {
		return err
	}
	return p.print(p.active(login).String())
}

// login reads the login. Flags that are wrong, or name another Arcade Cloud than the login's, are an error.
func (p *place) login(cmd *cobra.Command, read func() (identity.Credentials, error)) (login identity.Credentials, err error) {
	if _, err = cloudAt(cmd, p.at); err == nil {
		login, err = read()
	}
	if err == nil {
		err = p.accepts(login)
	}
	return login, err
}

func (p *place) active(login identity.Credentials) named {
	if p.isOrg() {
		return named{login.OrgID, login.OrgName}
	}
	return named{login.ProjectID, login.ProjectName}
}

// accepts refuses a login that works in no project, and flags that name another Arcade Cloud than the login's:
// the token goes to no other.
func (p *place) accepts(login identity.Credentials) error {
	if err := needsContext(login); err != nil || p.at == (secrets.Options{}) {
		return err
	}
	cloud, err := url.Parse(login.CloudURL())
	if err != nil {
		return err
	}
	inClear := cloud.Scheme == "http"
	own := secrets.Options{Host: cloud.Hostname(), Port: cmp.Or(cloud.Port(), "443"), TLS: !inClear, NoTLS: inClear, Cloud: true}
	given := own // flags that are not given mean the login's
	given.Host, given.Port = cmp.Or(p.at.Host, own.Host), cmp.Or(p.at.Port, own.Port)
	if p.at.TLS || p.at.NoTLS {
		given.TLS, given.NoTLS = p.at.TLS, p.at.NoTLS
	}
	its, unknown := secrets.BaseURL(own)
	asked, err := secrets.BaseURL(given)
	if unknown != nil || err != nil || *asked != *its {
		return failed("another cloud", "this login belongs to "+homeOf(login)+", and its token goes to no other host",
			"Leave --host, --port, --tls and --no-tls away; or run 'arcade logout', then 'arcade login --host HOST', to log in elsewhere.")
	}
	return nil
}

// choices returns the login and what Arcade Cloud offers it at this level.
func (p *place) choices(ctx context.Context, cmd *cobra.Command) (login identity.Credentials, choices []identity.Choice, err error) {
	login, err = p.login(cmd, func() (identity.Credentials, error) { return p.renewedLogin(ctx) })
	if err == nil && login.CloudURL() == "" {
		err = failed("installation without a cloud", "this installation has no Arcade Cloud to list its "+p.plural,
			"'arcade secret' takes --org and --project.")
	}
	if err != nil {
		return login, nil, err
	}
	org := login.OrgID
	if p.isOrg() {
		org = ""
	}
	choices, err = p.placesIn(ctx, login, org)
	return login, choices, err
}

// placesIn asks Arcade Cloud for the projects of an organization, for "" the organizations, and stores the answer.
func (p *place) placesIn(ctx context.Context, login identity.Credentials, org string) (choices []identity.Choice, err error) {
	cloud, places := login.Cloud(p.asLogin(login)), p.file().Places(login)
	if org == "" {
		choices, err = cloud.Organisations(ctx, login)
		places.Organisations = choices
	} else {
		choices, err = cloud.Projects(ctx, login, org)
		if places.Projects == nil {
			places.Projects = map[string][]identity.Choice{}
		}
		places.Projects[org] = choices
	}
	if err != nil {
		return nil, p.loginFailure(err)
	}
	p.keepPlaces(login, places)
	return choices, nil
}

// ListedPlace is one item of `org list --json` and `project list --json`.
type ListedPlace struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
	Active  bool   `json:"active"`
}

func (p *place) list(cmd *cobra.Command, asJSON bool) error {
	login, choices, err := p.choices(cmd.Context(), cmd)
	if err != nil {
		return err
	}
	items := make([]ListedPlace, len(choices))
	l := listing{
		columns: []term.Column{{Title: "NAME", Shrink: true, Drop: 1}, {Title: "ID"}, {Title: "DEFAULT"}, {Title: "ACTIVE"}},
		items:   items,
		none:    "There are no " + p.plural + ".",
		below:   fmt.Sprintf("%s. 'arcade %s set NAME' changes the active one.", term.Count(len(choices), p.noun, p.plural), p.name),
	}
	for i, c := range choices {
		items[i] = ListedPlace{c.ID, c.Name, c.Default, c.ID == p.active(login).ID}
		l.rows = append(l.rows, []string{c.Name, c.ID, p.tick(c.Default), p.tick(items[i].Active)})
	}
	return p.printList(asJSON, l)
}

func (p *place) set(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return wrongUsage(cmd, "not one argument", "give a name or an id, and only one")
	}
	ctx := cmd.Context()
	login, choices, err := p.choices(ctx, cmd)
	if err != nil {
		return err
	}
	choice, err := p.choose(choices, args[0])
	if err != nil {
		return err
	}
	entered := login.Context
	if p.isOrg() {
		projects, err := p.placesIn(ctx, login, choice.ID)
		if err != nil {
			return err
		}
		if entered, err = contextOf(choice, projects); err != nil {
			return err
		}
	} else {
		entered.ProjectID, entered.ProjectName = choice.ID, choice.Name
	}
	if err := p.file().SetContext(ctx, login, entered); err != nil {
		return p.loginFailure(err)
	}
	return p.print("You work in " + workplace(entered) + " now.")
}

// choose finds the choice with this name or id. The error lists what there is, up to 20.
func (p *place) choose(choices []identity.Choice, word string) (identity.Choice, error) {
	found := identity.Find(choices, word)
	shown := choices
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		shown = found
	case len(choices) == 0:
		return identity.Choice{}, failed("no such "+p.noun, "there is no "+p.noun+" that you can work in", "Make one in Arcade's dashboard.")
	}
	const most = 20
	var lines strings.Builder
	for _, c := range shown[:min(len(shown), most)] {
		lines.WriteString("\n  " + named{c.ID, c.Name}.String())
	}
	if more := len(shown) - most; more > 0 {
		fmt.Fprintf(&lines, "\n  and %d more", more)
	}
	if len(found) > 1 {
		return identity.Choice{}, failed(p.noun+" name is not unique", "there are several "+p.plural+" of this name",
			"Give the id of one of them:"+lines.String())
	}
	return identity.Choice{}, failed("no such "+p.noun, "there is no "+p.noun+" with this name or id", "There are:"+lines.String())
}

// placesLast is how long completion uses the last answer.
const placesLast = 10 * time.Minute

// complete offers ids with their names, and names once one is begun: from the last answer or, if that is old and
// Arcade Cloud answers quickly, from a new one.
func (p *place) complete(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	login, err := p.loggedIn()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	places := p.file().Places(login)
	choices := places.Organisations
	if !p.isOrg() {
		choices = places.Projects[login.OrgID]
	}
	if age := p.Track.Now().Sub(places.At); len(choices) == 0 || age < 0 || age > placesLast {
		ctx, cancel := context.WithTimeout(cmd.Context(), track.CloudTimeout)
		defer cancel()
		if _, asked, err := p.choices(ctx, cmd); err == nil {
			choices = asked
		}
	}
	var words []string
	for _, c := range choices {
		if strings.HasPrefix(c.ID, begun) {
			words = append(words, cobra.CompletionWithDesc(c.ID, c.Name))
		} else if strings.HasPrefix(c.Name, begun) && len(identity.Find(choices, c.Name)) == 1 {
			words = append(words, cobra.CompletionWithDesc(c.Name, c.ID))
		}
	}
	return slices.Compact(words), cobra.ShellCompDirectiveNoFileComp
}
