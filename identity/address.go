package identity

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ErrNoEngine says that there is no known address to which the credential may be sent.
var ErrNoEngine = errors.New("no Engine that this credential may go to")

// Using is the credential that a command uses.
type Using struct {
	Login    Credentials // of the file, or a key from the environment
	FromFile bool
	// Apart keeps the credential away from arcade.dev: it belongs to a self-hosted
	// installation, or is used while one is active, or while the file, which may say so,
	// cannot be read.
	Apart bool
}

// Using returns the credential in force: a key with an address, from ARCADE_API_KEY and
// ARCADE_URL; the context named for this command; a key alone; or the active context. No
// file decides where a key goes.
//
// The errors are those of [CredentialsFile.Read], and [ErrNoEngine] for an
// unusable address.
func (f CredentialsFile) Using(address, key string) (Using, error) {
	switch {
	case address != "" && key != "":
		engine, err := checkedURL(address)
		production, _ := EngineURL(DefaultCloudURL)
		return Using{Login: Credentials{Name: "env", Kind: KindOf(engine), EngineURL: engine, APIKey: key}, Apart: engine != production}, err
	case key != "" && f.Context == "":
		return Using{Login: Credentials{APIKey: key}, Apart: f.KeepsToItself()}, nil
	}
	login, err := f.Read()
	return Using{Login: login, FromFile: true, Apart: login.SelfHosted() || err != nil && !isMissing(err)}, err
}

// Engine returns the base URL of the Engine that the credential goes to unless the
// user names another, or [ErrNoEngine]. A key without an address goes to production,
// and nowhere while it is kept apart.
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

// KeepsToItself reports whether nothing may be sent to arcade.dev: the context
// in force is self-hosted, or cannot be read. An unbelieved file counts here,
// since it can only restrict.
func (f CredentialsFile) KeepsToItself() bool {
	d, err := f.readDocument(f.inUse())
	if d == nil {
		return !isMissing(err)
	}
	login, found := d.Find(cmp.Or(f.Context, d.Active))
	if !found { // a login is about to make it
		login, _ = d.Find(d.Active)
	}
	return login.SelfHosted()
}

// checkedURL returns an address typed by a user without its final slash, or
// [ErrNoEngine] if a key must not be sent there.
func checkedURL(address string) (string, error) {
	u, err := url.Parse(asSent(baseOf(strings.TrimSpace(address))))
	if err != nil || u.Path != "" || u.RawQuery != "" || !isSafe(u) {
		return "", ErrNoEngine
	}
	return u.String(), nil
}

// ErrNoDiscovery says that a server does not describe an installation: it is too old
// for that, or not Arcade's.
var ErrNoDiscovery = errors.New("no description of an installation")

// Discover asks the installation at address, which may lack a scheme, where its
// parts are. It returns a login without credentials, in which either EngineURL
// or CoordinatorURL can be "".
//
// The error is [ErrNoEngine] for an unsafe address of the installation or of one of
// its parts, [ErrNoDiscovery], or a [*CloudError].
func Discover(ctx context.Context, client *http.Client, address string) (Credentials, error) {
	if address = strings.TrimSpace(address); !strings.Contains(address, "://") {
		address = "https://" + address
	}
	address = asSent(address)
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || !isSafe(u) {
		return Credentials{}, ErrNoEngine
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
	server := Cloud{BaseURL: address, HTTP: client, Server: u.Host}
	err = server.get(ctx, "/.well-known/arcade", "", &told)
	c := Credentials{
		EngineURL:      cmp.Or(told.Engine, told.URLs.Engine),
		CoordinatorURL: cmp.Or(told.Coordinator, told.URLs.Coordinator),
		DashboardURL:   cmp.Or(told.Dashboard, told.URLs.Dashboard),
	}
	var refused *CloudError
	switch {
	case errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusOK):
		return Credentials{}, ErrNoDiscovery
	case err != nil:
		return Credentials{}, err
	case c.EngineURL == "" && c.CoordinatorURL == "":
		return Credentials{}, ErrNoDiscovery
	}
	for _, part := range []string{c.EngineURL, c.CoordinatorURL, c.DashboardURL} {
		if part != "" && !server.mayName(part) {
			return Credentials{}, ErrNoEngine
		}
	}
	engine, err := checkedURL(c.EngineURL)
	if c.EngineURL != "" && err != nil { // a login could not use it
		return Credentials{}, err
	}
	c.EngineURL, c.Kind = engine, KindOf(c.EngineURL, c.CoordinatorURL)
	return c, nil
}

// Owns reports whether the server at u belongs to the login: its Arcade Cloud, the
// Engine beside that and the Engine it names, on any port, and, if its Cloud is on this
// machine, any server on this machine. A user can send the token elsewhere, but only
// these servers can say that it has ended.
func (c Credentials) Owns(u *url.URL) bool {
	if cloud, err := url.Parse(c.CloudURL()); err == nil && isLoopback(u) && isLoopback(cloud) {
		return true
	}
	engine, _ := EngineURL(c.CloudURL())
	return slices.ContainsFunc([]string{c.CloudURL(), engine, c.EngineURL}, func(address string) bool {
		own, err := url.Parse(address)
		return err == nil && own.Scheme == u.Scheme && own.Hostname() != "" && strings.EqualFold(own.Hostname(), u.Hostname())
	})
}

// EngineURL returns the base URL of the Engine that belongs to the Arcade Cloud
// at cloudURL: `cloud.` at the beginning of the host becomes `api.`, and a Cloud
// on this machine has its Engine here, too. It returns false for any other Cloud.
func EngineURL(cloudURL string) (string, bool) {
	u, err := url.Parse(cloudURL)
	if err != nil || !isSafe(u) {
		return "", false
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(u.Host), "cloud."); ok {
		return u.Scheme + "://api." + rest, true
	}
	if isLoopback(u) {
		return "http://localhost:9099", true
	}
	return "", false
}
