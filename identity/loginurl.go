package identity

import (
	"cmp"
	"errors"
	"fmt"
	"net"
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
// the login give it. A host of this machine is http://localhost with the port,
// 8000 if that is 0. Any other is reached by HTTPS, and the port is ignored
// unless it is part of host.
func CloudBase(host string, port int) (string, error) {
	name, ownPort, err := net.SplitHostPort(host)
	if err != nil {
		name, ownPort = host, strconv.Itoa(cmp.Or(port, localCloudPort))
	}
	switch name {
	case "localhost", "127.0.0.1", "0.0.0.0":
		return "http://localhost:" + ownPort, nil
	}
	if net.ParseIP(host) != nil && strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	base := "https://" + host
	if u, err := url.Parse(base); err != nil || u.Host != host || u.Hostname() == "" {
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
