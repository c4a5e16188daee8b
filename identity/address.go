package identity

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// localCloudPort is where a locally run Arcade Cloud listens.
const localCloudPort = 8000

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
