package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// place is one of the two levels at which a login can work: organizations, and their projects.
type place struct {
	name, plural string // `org`, `organizations`
	noun         string // `organization`
	at           *cloudOptions
	list         func(ctx context.Context, cloud identity.Cloud, login identity.Credentials) ([]identity.Choice, error)
	kept         func(p identity.Places, login identity.Credentials) []identity.Choice // the last answer of list
	active       func(login identity.Credentials) named
	enter        func(ctx context.Context, cloud identity.Cloud, login identity.Credentials, choice identity.Choice) (identity.Context, error)
}

func (a *App) newOrg() *cobra.Command {
	return a.newPlace(place{
		name: "org", noun: "organization", plural: "organizations",
		list:   a.organisations,
		kept:   func(p identity.Places, _ identity.Credentials) []identity.Choice { return p.Organisations },
		active: func(login identity.Credentials) named { return named{login.OrgID, login.OrgName} },
		enter: func(ctx context.Context, cloud identity.Cloud, login identity.Credentials, org identity.Choice) (identity.Context, error) {
			projects, err := a.projects(ctx, cloud, login, org.ID)
			if err != nil {
				return identity.Context{}, a.cloudFailure(err)
			}
			return contextOf(org, projects)
		},
	})
}

func (a *App) newProject() *cobra.Command {
	return a.newPlace(place{
		name: "project", noun: "project", plural: "projects",
		list: func(ctx context.Context, cloud identity.Cloud, login identity.Credentials) ([]identity.Choice, error) {
			return a.projects(ctx, cloud, login, login.OrgID)
		},
		kept:   func(p identity.Places, login identity.Credentials) []identity.Choice { return p.Projects[login.OrgID] },
		active: func(login identity.Credentials) named { return named{login.ProjectID, login.ProjectName} },
		enter: func(_ context.Context, _ identity.Cloud, login identity.Credentials, project identity.Choice) (identity.Context, error) {
			c := login.Context
			c.ProjectID, c.ProjectName = project.ID, project.Name
			return c, nil
		},
	})
}

func (a *App) newPlace(p place) *cobra.Command {
	p.at = new(cloudOptions)
	cmd := &cobra.Command{
		Use:   p.name,
		Short: "Show or change the " + p.noun + " that you work in",
		Long: "Without a command, show the " + p.noun + " that you work in. Secrets belong to a\n" +
			"project, and projects to an organization. The Python CLI works in the same.",
		Example: fmt.Sprintf("  arcade %s\n  arcade %s list\n  arcade %s set NAME", p.name, p.name, p.name),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			if err := p.at.check(cmd); err != nil {
				return err
			}
			return a.showActive(p)
		},
	}
	cmd.PersistentFlags().StringVarP(&p.at.host, "host", "h", "", "Arcade Cloud's host, which has to be the login's")
	cmd.PersistentFlags().IntVarP(&p.at.port, "port", "p", 0, "Arcade Cloud's port, likewise")
	cmd.PersistentFlags().BoolVar(&p.at.tls, "tls", false, "Arcade Cloud is reached by TLS, likewise")
	cmd.PersistentFlags().BoolVar(&p.at.noTLS, "no-tls", false, "Arcade Cloud is reached without TLS, likewise")
	a.allowTracing(cmd)
	hostHasTheLetterH(cmd)
	cmd.AddCommand(a.newPlaceList(p), a.newPlaceSet(p))
	return cmd
}

func (a *App) showActive(p place) error {
	login, err := a.inContext(p)
	if err != nil {
		return err
	}
	return a.print(secrets.Printable(nameAndID(p.active(login))))
}

// inContext is loggedIn for commands that need a login with a project.
func (a *App) inContext(p place) (identity.Credentials, error) {
	login, err := a.loggedIn()
	if err == nil {
		err = p.isOf(login)
	}
	return login, err
}

// cloudOptions are the flags that name an Arcade Cloud, as the Python CLI takes them.
type cloudOptions struct {
	host       string
	port       int
	tls, noTLS bool
}

// base is the address that they name. The error is for a person, and wrong usage.
func (o cloudOptions) base() (string, error) {
	port := ""
	if o.port != 0 {
		port = strconv.Itoa(o.port)
	}
	base, err := secrets.BaseURL(secrets.Options{Host: o.host, Port: port, TLS: o.tls, NoTLS: o.noTLS, Cloud: true})
	if err != nil {
		return "", err
	}
	return base.String(), nil
}

// check refuses flags that name no Arcade Cloud.
func (o cloudOptions) check(cmd *cobra.Command) error {
	if o.tls && o.noTLS {
		return tlsTwice(cmd)
	}
	if !cmd.Flags().Changed("host") && !cmd.Flags().Changed("port") {
		return nil
	}
	if err := checkHost(cmd, o.host); err != nil {
		return err
	}
	if !cmd.Flags().Changed("host") {
		o.host = identity.DefaultCloudHost
	}
	if _, err := o.base(); err != nil {
		return wrongUsage(cmd, "invalid value for --host or --port", err.Error())
	}
	return nil
}

// isOf refuses a login that works in no project, and flags that name another Arcade Cloud than the
// login's: its token goes to no other.
func (p place) isOf(login identity.Credentials) error {
	if *p.at != (cloudOptions{}) {
		at := *p.at
		at.host = cmp.Or(at.host, identity.DefaultCloudHost)
		if base, err := at.base(); err != nil || !isAt(base, login) {
			return failed("another cloud", "this login belongs to "+bareAddress(login.CloudURL())+", and its token goes to no other host",
				"Leave --host, --port, --tls and --no-tls away; or run 'arcade logout', then 'arcade login --host HOST', to log in elsewhere.")
		}
	}
	return needsContext(login)
}

func (a *App) newPlaceList(p place) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the " + p.plural + " that you can work in",
		Aliases: []string{"ls"},
		Example: fmt.Sprintf("  arcade %s list\n  arcade %s list --json", p.name, p.name),
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.at.check(cmd); err != nil {
				return err
			}
			return a.listPlaces(cmd.Context(), p, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as a JSON array")
	return cmd
}

// choicesOf asks Arcade Cloud what there is, with the login that it returns.
func (a *App) choicesOf(ctx context.Context, p place) (identity.Cloud, identity.Credentials, []identity.Choice, error) {
	login, err := a.renewedLogin(ctx)
	if err == nil {
		err = p.isOf(login)
	}
	if err != nil {
		return identity.Cloud{}, login, nil, err
	}
	cloud, err := a.cloudOf(login)
	if err != nil {
		return cloud, login, nil, err
	}
	choices, err := p.list(ctx, cloud, login)
	if err != nil {
		err = a.cloudFailure(err)
	}
	return cloud, login, choices, err
}

// ListedPlace is one item of `org list --json` and `project list --json`.
type ListedPlace struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"default"`
	Active  bool   `json:"active"`
}

func (a *App) listPlaces(ctx context.Context, p place, asJSON bool) error {
	_, login, choices, err := a.choicesOf(ctx, p)
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
	switch {
	case asJSON:
		return a.Out.JSON(items)
	case !a.Out.Interactive:
		return a.Out.TSV(columns, rows)
	case len(choices) == 0:
		return a.print("There are no " + p.plural + ".")
	}
	if err := a.Out.Table("", columns, rows); err != nil {
		return err
	}
	return a.print(fmt.Sprintf("%s. 'arcade %s set NAME' changes the active one.", term.Count(len(choices), p.noun, p.plural), p.name))
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

func (a *App) newPlaceSet(p place) *cobra.Command {
	return &cobra.Command{
		Use:     "set NAME|ID",
		Short:   "Work in another " + p.noun,
		Example: fmt.Sprintf("  arcade %s set NAME", p.name),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return wrongUsage(cmd, "not one argument", "give a name or an id, and only one")
			}
			if err := p.at.check(cmd); err != nil {
				return err
			}
			return a.setPlace(cmd.Context(), p, args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			return a.completePlaces(cmd.Context(), p, len(args), begun), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func (a *App) setPlace(ctx context.Context, p place, word string) error {
	cloud, login, choices, err := a.choicesOf(ctx, p)
	if err != nil {
		return err
	}
	choice, err := choose(p, choices, word)
	if err != nil {
		return err
	}
	entered, err := p.enter(ctx, cloud, login, choice)
	if err != nil {
		return err
	}
	s, err := a.session()
	if err != nil {
		return err
	}
	if err := s.File.SetContext(ctx, login, entered); err != nil {
		return a.loginFailure(s.File.Path, err)
	}
	return a.print(fmt.Sprintf("You work in %s / %s now.",
		nameOr(entered.OrgName, entered.OrgID), nameOr(entered.ProjectName, entered.ProjectID)))
}

// choose finds what a word means, or says what there is.
func choose(p place, choices []identity.Choice, word string) (identity.Choice, error) {
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

// listedMost bounds what an error shows of a list.
const listedMost = 20

func listed(choices []identity.Choice) string {
	var lines []string
	for _, c := range choices[:min(len(choices), listedMost)] {
		lines = append(lines, "  "+nameOf(c))
	}
	if more := len(choices) - listedMost; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// placesLast is how long completion goes by the last answer.
const placesLast = 10 * time.Minute

// completePlaces offers ids with their names, and names once one is begun: those of the last
// answer, or Arcade Cloud's if that is old and it answers quickly.
func (a *App) completePlaces(ctx context.Context, p place, given int, begun string) []string {
	login, err := a.inContext(p)
	if given > 0 || err != nil {
		return nil
	}
	kept := a.places(login)
	choices := p.kept(kept, login)
	if age := a.Track.Now().Sub(kept.At); len(choices) == 0 || age < 0 || age > placesLast {
		ctx, cancel := context.WithTimeout(ctx, track.CloudTimeout)
		defer cancel()
		if _, _, asked, err := a.choicesOf(ctx, p); err == nil {
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
