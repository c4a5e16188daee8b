package cli

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
)

func (a *App) newWhoami() *cobra.Command {
	var asJSON, offline bool
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who is logged in, and whether the login works",
		Long: `Show who is logged in, where the login works, and whether Arcade Cloud still
accepts it; Cloud has 2 seconds to answer. With ARCADE_API_KEY set, commands use
that key and not the login.`,
		Example: "  arcade whoami\n  arcade whoami --json\n  arcade whoami --offline",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.whoami(cmd.Context(), asJSON, offline) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.Flags().BoolVar(&offline, "offline", false, "ask no server; show what the credentials file says")
	a.allowTracing(cmd)
	return cmd
}

// WhoamiResult is what `whoami --json` prints.
type WhoamiResult struct {
	Email        *string     `json:"email"`
	Context      *string     `json:"context"`      // null when there is only one
	PrincipalID  *string     `json:"principal_id"` // null until Arcade Cloud was asked
	CloudURL     *string     `json:"cloud_url"`    // null without a login
	Organization *named      `json:"organization"`
	Project      *named      `json:"project"`
	Login        *loginState `json:"login"`      // works, refused or unknown; null without a login
	ExpiresAt    *string     `json:"expires_at"` // of the token; null for an API key
	APIKey       *keyInForce `json:"api_key"`    // from ARCADE_API_KEY, null when that is not set

	loginWords, engine, keyWords string // for people
	refused                      error  // what to do if Arcade Cloud refuses what commands use
}

type keyInForce struct {
	PrincipalID *string    `json:"principal_id"`
	State       loginState `json:"state"`
}

func (a *App) whoami(ctx context.Context, asJSON, offline bool) error {
	key, apart, err := a.Track.KeyInForce()
	if err != nil {
		return err
	}
	login, unreadable := a.loggedIn()
	if key.Name != "" { // ARCADE_URL makes it a context of its own
		unreadable = errNotLoggedIn
	}
	a.keyOnly = unreadable != nil && key.Present()
	result := WhoamiResult{Context: orNull(a.Track.ContextName()), engine: key.EngineURL}
	switch {
	case unreadable == nil:
		err = a.describeLogin(ctx, login, &result, !offline)
	case !key.Present():
		return unreadable
	case !errors.Is(unreadable, errNotLoggedIn) && !errors.Is(unreadable, track.ErrNoHome): // the key is in force
		a.warnOf(unreadable)
	}
	if err == nil && key.Present() {
		err = a.describeKey(ctx, key, apart, &result, !offline && !apart)
	}
	switch {
	case err != nil:
		return err
	case asJSON:
		err = a.Out.JSON(result)
	default:
		err = a.print(a.whoamiText(result))
	}
	return cmp.Or(a.untrusted, result.refused, err)
}

// describeLogin asks Arcade Cloud about the login if ask is true, and describes the login as it is afterwards. The error
// is an interrupt.
func (a *App) describeLogin(ctx context.Context, login identity.Credentials, result *WhoamiResult, ask bool) error {
	state := loginUnknown
	var account identity.Account
	if ask = ask && login.CloudURL() != ""; ask {
		var err error
		account, state, err = a.check(ctx, track.CloudTimeout, "")
		switch {
		case ctx.Err() != nil:
			return err
		case state == loginRefused:
			result.refused = err
		case err != nil: // a renewal that could not be stored was not tried
			f := asFailure(err)
			ask = false
			a.warn("Warning: the login's token has ended and is not renewed: " + f.what + ". " + f.hint)
		}
		if renewed, err := a.loggedIn(); err == nil {
			login = renewed
		}
	}
	result.Email = orNull(cmp.Or(account.Email, login.Email))
	result.PrincipalID = orNull(cmp.Or(account.PrincipalID, a.Track.Principal(ctx, login)))
	result.CloudURL, result.Login = shownAddress(login.CloudURL()), &state
	if login.ProjectID != "" {
		result.Organization, result.Project = &named{login.OrgID, login.OrgName}, &named{login.ProjectID, login.ProjectName}
	}
	words := map[loginState]string{
		loginWorks: "works", loginRefused: "is not accepted any more", loginUnknown: notChecked(login.Server(), ask),
	}[state]
	switch now, end := a.Track.Now(), login.ExpiresAt; {
	case login.APIKey != "":
		words += " (an API key)"
	case end.IsZero() || state == loginRefused:
	case end.Before(now):
		words += "; its token ended at " + term.Clock(end, now)
	case login.RefreshToken == "", login.CloudURL() == "":
		words += "; its token ends at " + term.Clock(end, now)
	default:
		words += "; its token is valid until " + term.Clock(end, now) + " and is renewed automatically"
	}
	if result.loginWords = words; login.APIKey == "" {
		result.ExpiresAt = orNull(term.RFC3339(login.ExpiresAt))
	}
	return nil
}

// describeKey describes the key in force, and asks Arcade Cloud about it if ask is true. The error is an interrupt.
func (a *App) describeKey(ctx context.Context, key identity.Credentials, apart bool, result *WhoamiResult, ask bool) error {
	found := &keyInForce{PrincipalID: orNull(a.Track.Principal(ctx, key)), State: loginUnknown}
	words := "ARCADE_API_KEY is set: commands use that key and not the login"
	if unused := a.unusedKey(key, apart); unused != nil {
		a.warnOf(unused)
		words = "ARCADE_API_KEY is set, but not ARCADE_URL: commands refuse that key"
	}
	if ask {
		asking, cancel := context.WithTimeout(ctx, track.CloudTimeout)
		defer cancel()
		account, err := accountOf(asking, a.httpClient(), key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if found.State, _ = a.stateFrom(ctx, err, ""); err == nil {
			found.PrincipalID = &account.PrincipalID
		}
	}
	result.APIKey, result.refused = found, nil // commands do not use the login
	if found.State == loginRefused {
		result.keyWords = words + ", but Arcade Cloud does not accept it"
		result.refused = failed("key refused", "Arcade Cloud does not accept the key in ARCADE_API_KEY",
			"Correct ARCADE_API_KEY, or remove it.")
		return nil
	}
	if found.PrincipalID != nil {
		words += "; it belongs to " + *found.PrincipalID
	}
	if found.State == loginUnknown {
		words += "; it " + notChecked("Arcade Cloud", ask)
	}
	result.keyWords = words
	return nil
}

// notChecked is why it is not known whether a login works.
func notChecked(server string, asked bool) string {
	if asked {
		return "was not checked, since " + server + " gave no usable answer"
	}
	return "was not checked"
}

func (a *App) whoamiText(r WhoamiResult) string {
	context, key := valueOr(r.Context, ""), r.keyWords
	if r.Login == nil {
		return a.labelledLines([][2]string{{"Context", context}, {"Engine", r.engine}, {"API key", key}}, 14)
	}
	org, project := "", ""
	if r.Project != nil {
		org, project = r.Organization.String(), r.Project.String()
	}
	return a.labelledLines([][2]string{
		{"E-mail", valueOr(r.Email, "unknown")}, {"Principal", valueOr(r.PrincipalID, "not known yet")},
		{"Organization", org}, {"Project", project}, {"Context", context},
		{"Cloud", valueOr(r.CloudURL, "none")}, {"Login", r.loginWords}, {"API key", key},
	}, 14)
}
