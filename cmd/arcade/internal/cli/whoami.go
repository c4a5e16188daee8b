package cli

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
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
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.whoami(cmd.Context(), asJSON, offline)
		},
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
}

type keyInForce struct {
	PrincipalID *string    `json:"principal_id"`
	State       loginState `json:"state"`
}

func (a *App) whoami(ctx context.Context, asJSON, offline bool) error {
	key, apart, err := a.keyInForce()
	if err != nil {
		return err
	}
	login, err := a.loggedIn()
	if key.Name != "" { // ARCADE_URL makes it a context of its own
		login, err = identity.Credentials{}, errNotLoggedIn
	}
	a.keyOnly = err != nil && key.Present()
	result := WhoamiResult{Context: orNull(a.Track.ContextName())}
	asked := !offline
	switch {
	case err == nil:
		if asked, err = a.describeLogin(ctx, &login, &result, asked); err != nil {
			return err
		}
	case !key.Present():
		return err
	case !errors.Is(err, errNotLoggedIn) && !errors.Is(err, track.ErrNoHome): // the key is in force
		a.warnOf(err)
	}
	var unused error
	if key.Present() {
		if unused = a.unusedKey(key, apart); unused != nil {
			a.warnOf(unused)
		}
		if result.APIKey, err = a.describeKey(ctx, key, offline || apart); err != nil {
			return err
		}
	}
	if asJSON {
		err = a.Out.JSON(result)
	} else {
		err = a.print(a.whoamiText(result, login, asked, key, unused == nil, !offline && !apart))
	}
	switch {
	case err != nil:
		return err
	case a.untrusted != nil:
		return a.untrusted
	case result.APIKey != nil: // and not the login
		if result.APIKey.State == loginRefused {
			return failed("key refused", "Arcade Cloud does not accept the key in ARCADE_API_KEY", "Correct ARCADE_API_KEY, or remove it.")
		}
	case *result.Login == loginRefused && login.APIKey != "":
		return adviceFailure(a.words().Of(track.ErrLoginRefused), "")
	case *result.Login == loginRefused:
		return a.loginEnded()
	}
	return nil
}

// describeLogin asks Arcade Cloud about the login if ask says so, and updates it when that renews its token. It
// returns whether Cloud was asked.
func (a *App) describeLogin(ctx context.Context, login *identity.Credentials, result *WhoamiResult, ask bool) (asked bool, _ error) {
	state := loginUnknown
	var account identity.Account
	if asked = ask && login.CloudURL() != ""; asked {
		var err error
		account, state, err = a.check(ctx, track.CloudTimeout)
		switch {
		case ctx.Err() != nil:
			return false, err
		case err != nil: // a renewal that cannot be kept is not asked for
			f := asFailure(err)
			asked = false
			a.warn("Warning: the login's token has ended and is not renewed: " + f.what + ". " + f.hint)
		}
		if renewed, err := a.loggedIn(); err == nil {
			*login = renewed
		}
	}
	result.Email = orNull(cmp.Or(account.Email, login.Email))
	result.PrincipalID = orNull(cmp.Or(account.PrincipalID, a.Track.Principal(ctx, *login)))
	result.CloudURL, result.Login = cloudAddress(*login), &state
	if login.ProjectID != "" {
		result.Organization, result.Project = &named{login.OrgID, login.OrgName}, &named{login.ProjectID, login.ProjectName}
	}
	if login.APIKey == "" {
		result.ExpiresAt = orNull(term.RFC3339(login.ExpiresAt))
	}
	return asked, nil
}

func (a *App) describeKey(ctx context.Context, key identity.Credentials, offline bool) (*keyInForce, error) {
	found := &keyInForce{PrincipalID: orNull(a.Track.Principal(ctx, key)), State: loginUnknown}
	if offline {
		return found, nil
	}
	asking, cancel := context.WithTimeout(ctx, track.CloudTimeout)
	defer cancel()
	account, err := key.Cloud(a.httpClient()).WhoAmI(asking, key)
	switch {
	case ctx.Err() != nil:
		return nil, errInterrupted
	case err == nil:
		found.PrincipalID, found.State = &account.PrincipalID, loginWorks
	case errors.Is(err, identity.ErrNotAuthenticated):
		found.State = loginRefused
	default:
		a.warnOfNetwork(err)
	}
	return found, nil
}

// whoamiText is the result as text for a person.
func (a *App) whoamiText(r WhoamiResult, login identity.Credentials, asked bool, key identity.Credentials, used, askedOfKey bool) string {
	var lines []string
	add := func(label, value string) {
		lines = append(lines, a.labelled(label, secrets.Printable(value), 14))
	}
	if r.Login != nil {
		add("E-mail", valueOr(r.Email, "unknown"))
		add("Principal", valueOr(r.PrincipalID, "not known yet"))
		if r.Project != nil {
			add("Organization", nameAndID(*r.Organization))
			add("Project", nameAndID(*r.Project))
		}
	}
	if r.Context != nil {
		add("Context", *r.Context)
	}
	if r.Login != nil {
		add("Cloud", valueOr(r.CloudURL, "none"))
		add("Login", a.loginInWords(*r.Login, login, asked))
	}
	if key.Name != "" {
		add("Engine", key.EngineURL)
	}
	if r.APIKey != nil {
		add("API key", keyInWords(*r.APIKey, used, askedOfKey))
	}
	return strings.Join(lines, "\n")
}

func (a *App) loginInWords(state loginState, login identity.Credentials, asked bool) string {
	words := map[loginState]string{
		loginWorks: "works", loginRefused: "is not accepted any more", loginUnknown: notChecked(login.Server(), asked),
	}[state]
	end := term.Clock(login.ExpiresAt, a.Track.Now())
	switch {
	case login.APIKey != "":
		return words + " (an API key)"
	case login.ExpiresAt.IsZero() || state == loginRefused:
		return words
	case login.ExpiresAt.Before(a.Track.Now()):
		return words + "; its token ended at " + end
	case login.RefreshToken == "", login.CloudURL() == "":
		return words + "; its token ends at " + end
	}
	return words + "; its token lives until " + end + " and is renewed by itself"
}

// notChecked says why it is not known whether a login works.
func notChecked(server string, asked bool) string {
	if asked {
		return "was not checked, since " + server + " gave no usable answer"
	}
	return "was not checked"
}

func keyInWords(k keyInForce, used, asked bool) string {
	words := "ARCADE_API_KEY is set: commands use that key and not the login"
	if !used {
		words = "ARCADE_API_KEY is set, but not ARCADE_URL: commands refuse that key"
	}
	if k.State == loginRefused {
		return words + ", but Arcade Cloud does not accept it"
	}
	if k.PrincipalID != nil {
		words += "; it belongs to " + *k.PrincipalID
	}
	if k.State == loginUnknown {
		words += "; it " + notChecked("Arcade Cloud", asked)
	}
	return words
}
