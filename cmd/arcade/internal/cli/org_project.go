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
	name, noun, plural string          // `org`, `organization`, `organizations`
	at                 secrets.Options // what the flags say of the login's Arcade Cloud
}

func (a *App) newOrg() *cobra.Command {
	return a.newPlace(&place{name: "org", noun: "organization", plural: "organizations"})
}

func (a *App) newProject() *cobra.Command {
	return a.newPlace(&place{name: "project", noun: "project", plural: "projects"})
}

func (p *place) isOrg() bool { return p.name == "org" }

func (a *App) newPlace(p *place) *cobra.Command {
	cmd := &cobra.Command{
		Use:   p.name,
		Short: "Show or change the " + p.noun + " that you work in",
		Long: "Without a command, show the " + p.noun + " that you work in. Secrets belong to a\n" +
			"project, and projects to an organization. The Python CLI uses the same ones.",
		Example: fmt.Sprintf("  arcade %s\n  arcade %s list\n  arcade %s set NAME", p.name, p.name, p.name),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			if _, err := cloudAt(cmd, p.at); err != nil {
				return err
			}
			return a.showActive(p)
		},
	}
	flags := cmd.PersistentFlags()
	flags.StringVarP(&p.at.Host, "host", "h", "", "Arcade Cloud's host; it has to be the login's")
	flags.StringVarP(&p.at.Port, "port", "p", "", "Arcade Cloud's port; it has to be the login's")
	flags.BoolVar(&p.at.TLS, "tls", false, "use TLS; the login has to use it, too")
	flags.BoolVar(&p.at.NoTLS, "no-tls", false, "do not use TLS; the login may not use it either")
	a.allowTracing(cmd)
	hostHasTheLetterH(cmd)
	cmd.AddCommand(a.newPlaceList(p), a.newPlaceSet(p))
	return cmd
}

func (a *App) showActive(p *place) error {
	login, err := a.loggedIn()
	if err == nil {
		err = p.accepts(login)
	}
	if err != nil {
		return err
	}
	return a.print(secrets.Printable(nameAndID(p.active(login))))
}

// accepts refuses a login that works in no project, and flags that name another Arcade Cloud than the login's:
// the token goes to no other.
func (p *place) accepts(login identity.Credentials) error {
	if err := needsContext(login); err != nil {
		return err
	}
	if !p.names(login) {
		return failed("another cloud", "this login belongs to "+homeOf(login)+", and its token goes to no other host",
			"Leave --host, --port, --tls and --no-tls away; or run 'arcade logout', then 'arcade login --host HOST', to log in elsewhere.")
	}
	return nil
}

// names reports whether the flags that are given fit the address of the login's Arcade Cloud.
func (p *place) names(login identity.Credentials) bool {
	if p.at == (secrets.Options{}) {
		return true
	}
	cloud, err := url.Parse(login.CloudURL())
	if err != nil {
		return false
	}
	inClear := cloud.Scheme == "http"
	own := secrets.Options{Host: cloud.Hostname(), Port: cmp.Or(cloud.Port(), "443"), TLS: !inClear, NoTLS: inClear, Cloud: true}
	given := own
	given.Host, given.Port = cmp.Or(p.at.Host, own.Host), cmp.Or(p.at.Port, own.Port)
	if p.at.TLS || p.at.NoTLS {
		given.TLS, given.NoTLS = p.at.TLS, p.at.NoTLS
	}
	its, _ := secrets.BaseURL(own)
	named, err := secrets.BaseURL(given)
	return err == nil && its != nil && *named == *its
}

func (p *place) active(login identity.Credentials) named {
	if p.isOrg() {
		return named{login.OrgID, login.OrgName}
	}
	return named{login.ProjectID, login.ProjectName}
}

func (a *App) newPlaceList(p *place) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the " + p.plural + " that you can work in",
		Aliases: []string{"ls"},
		Example: fmt.Sprintf("  arcade %s list\n  arcade %s list --json", p.name, p.name),
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := cloudAt(cmd, p.at); err != nil {
				return err
			}
			return a.listPlaces(cmd.Context(), p, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as a JSON array")
	return cmd
}

// choicesOf asks Arcade Cloud for the choices of the login that it returns.
func (a *App) choicesOf(ctx context.Context, p *place) (login identity.Credentials, choices []identity.Choice, err error) {
	if login, err = a.renewedLogin(ctx); err == nil {
		err = p.accepts(login)
	}
	if err == nil && login.CloudURL() == "" {
		err = failed("installation without a cloud", "this installation has no Arcade Cloud that knows its "+p.plural,
			"'arcade secret' takes --org and --project.")
	}
	if err != nil {
		return login, nil, err
	}
	if !p.isOrg() {
		choices, err = a.projects(ctx, login, login.OrgID)
		return login, choices, err
	}
	if choices, err = a.cloudOf(login).Organisations(ctx, login); err != nil {
		return login, nil, a.loginFailure(err)
	}
	places := a.places(login)
	places.Organisations = choices
	a.keepPlaces(login, places)
	return login, choices, nil
}

// projects asks Arcade Cloud for the projects of an organization.
func (a *App) projects(ctx context.Context, login identity.Credentials, org string) ([]identity.Choice, error) {
	projects, err := a.cloudOf(login).Projects(ctx, login, org)
	if err != nil {
		return nil, a.loginFailure(err)
	}
	places := a.places(login)
	if places.Projects == nil {
		places.Projects = map[string][]identity.Choice{}
	}
	places.Projects[org] = projects
	a.keepPlaces(login, places)
	return projects, nil
}

// ListedPlace is one item of `org list --json` and `project list --json`.
type ListedPlace struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
	Active  bool   `json:"active"`
}

func (a *App) listPlaces(ctx context.Context, p *place, asJSON bool) error {
	login, choices, err := a.choicesOf(ctx, p)
	if err != nil {
		return err
	}
	active := p.active(login).ID
	items := make([]ListedPlace, len(choices))
	rows := make([][]string, len(choices))
	for i, c := range choices {
		items[i] = ListedPlace{c.ID, c.Name, c.Default, c.ID == active}
		rows[i] = []string{c.Name, c.ID, a.tick(c.Default), a.tick(c.ID == active)}
	}
	columns := []term.Column{{Title: "NAME", Shrink: true, Drop: 1}, {Title: "ID"}, {Title: "DEFAULT"}, {Title: "ACTIVE"}}
	return a.printList(asJSON, items, columns, rows, "There are no "+p.plural+".",
		fmt.Sprintf("%s. 'arcade %s set NAME' changes the active one.", term.Count(len(choices), p.noun, p.plural), p.name))
}

// tick marks a row; a program gets a word.
func (a *App) tick(yes bool) string {
	switch {
	case !yes:
		return ""
	case !a.Out.Interactive:
		return "yes"
	case a.Out.Unicode:
		return "✓"
	default:
		return "x"
	}
}

func (a *App) newPlaceSet(p *place) *cobra.Command {
	return &cobra.Command{
		Use:     "set NAME|ID",
		Short:   "Work in another " + p.noun,
		Example: fmt.Sprintf("  arcade %s set NAME", p.name),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUsage(cmd, "not one argument", "give a name or an id, and only one")
			}
			if _, err := cloudAt(cmd, p.at); err != nil {
				return err
			}
			return a.setPlace(cmd.Context(), p, args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completePlaces(cmd.Context(), p, begun), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func (a *App) setPlace(ctx context.Context, p *place, word string) error {
	login, choices, err := a.choicesOf(ctx, p)
	if err != nil {
		return err
	}
	choice, err := choose(p, choices, word)
	if err != nil {
		return err
	}
	entered := login.Context
	if p.isOrg() {
		projects, err := a.projects(ctx, login, choice.ID)
		if err != nil {
			return err
		}
		if entered, err = contextOf(choice, projects); err != nil {
			return err
		}
	} else {
		entered.ProjectID, entered.ProjectName = choice.ID, choice.Name
	}
	s, _ := a.session()
	if err := s.File.SetContext(ctx, login, entered); err != nil {
		return a.loginFailure(err)
	}
	return a.print(fmt.Sprintf("You work in %s / %s now.",
		nameOr(entered.OrgName, entered.OrgID), nameOr(entered.ProjectName, entered.ProjectID)))
}

// choose finds the choice that a word names, or lists what there is.
func choose(p *place, choices []identity.Choice, word string) (identity.Choice, error) {
	found := identity.Find(choices, word)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return identity.Choice{}, failed(p.noun+" name is not unique", "there are several "+p.plural+" of this name",
			"Give the id of one of them:\n"+listed(found))
	case len(choices) == 0:
		return identity.Choice{}, failed("no such "+p.noun, "there is no "+p.noun+" that you can work in", "Make one in Arcade's dashboard.")
	}
	return identity.Choice{}, failed("no such "+p.noun, "there is no "+p.noun+" with this name or id", "There are:\n"+listed(choices))
}

// listed shows up to 20 choices in an error.
func listed(choices []identity.Choice) string {
	const most = 20
	var lines []string
	for _, c := range choices[:min(len(choices), most)] {
		lines = append(lines, "  "+nameOf(c))
	}
	if more := len(choices) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// placesLast is how long completion goes by the last answer.
const placesLast = 10 * time.Minute

// completePlaces offers ids with their names, and names once one is begun: those of the last
// answer, or Arcade Cloud's if that is old and it answers quickly.
func (a *App) completePlaces(ctx context.Context, p *place, begun string) []string {
	login, err := a.loggedIn()
	if err != nil {
		return nil
	}
	places := a.places(login)
	choices := places.Organisations
	if !p.isOrg() {
		choices = places.Projects[login.OrgID]
	}
	if age := a.Track.Now().Sub(places.At); len(choices) == 0 || age < 0 || age > placesLast {
		ctx, cancel := context.WithTimeout(ctx, track.CloudTimeout)
		defer cancel()
		if _, asked, err := a.choicesOf(ctx, p); err == nil {
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
	return slices.Compact(words)
}
