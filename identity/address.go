package identity

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	// CallbackPort is the port of the callback server that Arcade Cloud knows.
	CallbackPort = 9905
	// callbackPath is what the path of every callback URI ends in.
	callbackPath = "/callback"
	// localCloudPort is where a locally run Arcade Cloud listens.
	localCloudPort = 8000
)

// CloudBase returns the base URL of the Arcade Cloud on host, as the flags of
// a command give it. A host of this machine is http://localhost with the port,
// 8000 if that is 0; any other is reached by HTTPS. A port that is part of host
// beats the other.
func CloudBase(host string, port int) (string, error) {
	name, ownPort, err := net.SplitHostPort(host)
	if err != nil {
		name, ownPort = strings.Trim(host, "[]"), ""
		if port != 0 {
			ownPort = strconv.Itoa(port)
		}
	}
	if address, err := netip.ParseAddr(name); strings.EqualFold(name, "localhost") || err == nil && (address.IsLoopback() || address.IsUnspecified()) {
		return "http://localhost:" + cmp.Or(ownPort, strconv.Itoa(localCloudPort)), nil
	}
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	authority := name
	if ownPort != "" {
		authority += ":" + ownPort
	}
	base := "https://" + authority
	if u, err := url.Parse(base); err != nil || u.Host != authority || u.Hostname() == "" || strings.ContainsFunc(name, notInAKey) {
		return "", errors.New("the host must be a name such as cloud.arcade.dev, without a scheme or path")
	}
	return base, nil
}

// CallbackURI returns the address that Arcade Cloud sends the browser to after
// the login. It is this machine's port 9905, unless host says otherwise, for
// those whose browser runs elsewhere: a host name, with a scheme, port and path
// if need be. Without a port it is 9905, or, after https://, that of HTTPS:
// then something in front of our server, which has no certificate, listens.
func CallbackURI(host string) (string, error) {
	if host == "" {
		host = "localhost"
	}
	if !strings.Contains(host, "://") {
		host = "http://" + host
	}
	u, err := url.Parse(host)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("the callback host must be a host name, with http:// or https:// and a port if need be")
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(CallbackPort))
	}
	if !strings.HasSuffix(u.Path, callbackPath) {
		u.Path = strings.TrimRight(u.Path, "/") + callbackPath
	}
	return fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, u.EscapedPath()), nil
}

// LoginURL returns the page to open in a browser. cloudBase and callbackURI
// come from [CloudBase] and [CallbackURI]; state is unguessable, and what the
// callback has to show.
func LoginURL(cloudBase, callbackURI, state string) string {
	query := url.Values{"callback_uri": {callbackURI}, "state": {state}}
	return cloudBase + "/api/v1/auth/cli_login?" + query.Encode()
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
