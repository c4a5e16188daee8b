package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Variables is what the environment says about credentials.
type Variables struct {
	URL string // ARCADE_URL
	Key string // ARCADE_API_KEY
}

// ErrNoEngine says that it is not known where a credential may go, or that what
// is said of it is no address that a credential may be sent to.
var ErrNoEngine = errors.New("no Engine that this credential may go to")

// Using is the credential that a command uses.
type Using struct {
	// Login is that of the file, or a key from the environment.
	Login Credentials
	// FromFile says which of the two.
	FromFile bool
	// Apart says that arcade.dev is not to be asked about it: it belongs to an
	// installation that keeps to itself, or is used while one is active.
	Apart bool
}

// Using says which credential is in force, by the variables and the file: the
// key with an address; the context named for this command; a key alone; the
// active context.
//
// A key goes to the address in the environment, else to production, and nowhere
// because a file says so; a login of the file goes where it was made. The errors
// are those of [CredentialsFile.Read], and [ErrNoEngine] for a bad address.
func (f CredentialsFile) Using(v Variables) (Using, error) {
	switch {
	case v.URL != "" && v.Key != "":
		engine, err := checkedURL(v.URL)
		return Using{Login: Credentials{Name: "env", Kind: KindOf(engine), EngineURL: engine, APIKey: v.Key}, Apart: true}, err
	case v.Key != "" && f.Context == "":
		return Using{Login: Credentials{APIKey: v.Key}, Apart: f.KeepsToItself()}, nil
	}
	login, err := f.Read()
	return Using{Login: login, FromFile: true, Apart: login.SelfHosted()}, err
}

// Engine returns the base URL of the Engine that the credential goes to, unless
// a person names another. The error is [ErrNoEngine]. A key without an address
// has none while it must be kept apart: it would go to production.
func (u Using) Engine() (string, error) {
	if u.Login.EngineURL != "" {
		return checkedURL(u.Login.EngineURL)
	}
	engine, ok := EngineURL(u.Login.CloudURL())
	if !ok || u.Apart && !u.FromFile {
		return "", ErrNoEngine
	}
	return engine, nil
}

// KeepsToItself says whether nothing may be asked of arcade.dev: the context in
// force is self-hosted, or the file is there and does not tell. What a file that
// is not believed says counts here, since it can only make us more careful.
func (f CredentialsFile) KeepsToItself() bool {
	login, _, err := f.read(f.inUse())
	var unbelieved *UnbelievedError
	switch {
	case err == nil:
		return login.SelfHosted()
	case errors.As(err, &unbelieved):
		return !unbelieved.cloud
	}
	return !isMissing(err)
}

// checkedURL returns an address, as somebody has written it, without the slash
// at its end. The error is [ErrNoEngine] for what a key must not be sent to.
func checkedURL(address string) (string, error) {
	u, err := url.Parse(baseOf(strings.TrimSpace(address)))
	if err != nil || u.Path != "" || !mayBeAsked(u) {
		return "", ErrNoEngine
	}
	return u.String(), nil
}

// ErrNoDiscovery says that a server does not tell where the parts of its
// installation are: it is none of Arcade's, or older than that.
var ErrNoDiscovery = errors.New("no description of an installation")

// Discover asks the installation at address, which may lack a scheme, where its
// parts are. What it returns is a login of that kind without credentials; only
// EngineURL or CoordinatorURL may be "".
//
// The error is [ErrNoEngine] for an address that nothing may be sent to, or one
// that the installation names, [ErrNoDiscovery], or a [*CloudError].
func Discover(ctx context.Context, client *http.Client, address string) (Credentials, error) {
	if address = strings.TrimSpace(address); !strings.Contains(address, "://") {
		address = "https://" + address
	}
	address = strings.TrimRight(address, "/")
	u, err := url.Parse(address)
	if err != nil || !mayBeAsked(u) {
		return Credentials{}, ErrNoEngine
	}
	server := Cloud{BaseURL: address, HTTP: client, Server: u.Host}
	body, err := server.get(ctx, "/.well-known/arcade", "")
	var refused *CloudError
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusOK) {
		return Credentials{}, ErrNoDiscovery
	}
	if err != nil {
		return Credentials{}, err
	}
	type parts struct {
		Engine      string `json:"engine"`
		Coordinator string `json:"coordinator"`
		Dashboard   string `json:"dashboard"`
	}
	var told struct {
		parts
		URLs parts `json:"urls"`
	}
	if json.Unmarshal(body, &told) != nil {
		return Credentials{}, ErrNoDiscovery
	}
	c := Credentials{
		EngineURL:      cmp.Or(told.Engine, told.URLs.Engine),
		CoordinatorURL: cmp.Or(told.Coordinator, told.URLs.Coordinator),
		DashboardURL:   cmp.Or(told.Dashboard, told.URLs.Dashboard),
	}
	if c.EngineURL == "" && c.CoordinatorURL == "" {
		return Credentials{}, ErrNoDiscovery
	}
	for _, part := range []string{c.EngineURL, c.CoordinatorURL, c.DashboardURL} {
		if part != "" && !server.mayTrust(part) {
			return Credentials{}, ErrNoEngine
		}
	}
	c.Kind = KindOf(c.EngineURL, c.CoordinatorURL)
	return c, nil
}

// mayBeAsked says whether a key may be sent to u: nobody on the way can read it.
func mayBeAsked(u *url.URL) bool {
	return u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && !strings.ContainsFunc(u.Host, notInAKey) &&
		(u.Scheme == "https" || u.Scheme == "http" && isLoopback(u))
}

// Owns says whether the server at u belongs to the login: its Arcade Cloud, the
// Engine beside that and the one that it names, on any port, and whatever is on
// this machine if its Cloud is. A login's token may be shown to others, when a
// person says so; nothing that they answer counts.
func (c Credentials) Owns(u *url.URL) bool {
	cloud, err := url.Parse(c.CloudURL())
	if err != nil {
		return false
	}
	if isLoopback(u) && isLoopback(cloud) {
		return true
	}
	engine, _ := EngineURL(c.CloudURL())
	return slices.ContainsFunc([]string{c.CloudURL(), engine, c.EngineURL}, func(address string) bool {
		own, err := url.Parse(address)
		return err == nil && own.Scheme == u.Scheme && own.Hostname() != "" && strings.EqualFold(own.Hostname(), u.Hostname())
	})
}

// EngineURL returns the base URL of the Engine that belongs to the Arcade
// Cloud at cloudURL, the only one that credentials of that Cloud may go to:
// `cloud.` at the beginning of the host becomes `api.`, and a Cloud on this
// machine has its Engine here. It reports false when nobody can tell.
func EngineURL(cloudURL string) (string, bool) {
	u, err := url.Parse(strings.TrimRight(cloudURL, "/"))
	if err != nil || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(u.Host), "cloud."); ok && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u)) {
		return u.Scheme + "://api." + rest, true
	}
	if isLoopback(u) {
		return "http://localhost:9099", true
	}
	return "", false
}
