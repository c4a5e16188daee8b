package identity

import (
	"net/url"
	"slices"
	"strings"
)

// Owns says whether the server at u belongs to the login: its Arcade Cloud, the
// Engine beside that, on any port, and whatever is on this machine if its Cloud
// is. A login's token may be shown to others, when a person says so; nothing
// that they answer counts.
func (c Credentials) Owns(u *url.URL) bool {
	cloud, err := url.Parse(c.CloudURL())
	if err != nil {
		return false
	}
	if isLoopback(u) {
		return isLoopback(cloud)
	}
	engine, _ := EngineURL(c.CloudURL())
	return slices.ContainsFunc([]string{c.CloudURL(), engine}, func(address string) bool {
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
