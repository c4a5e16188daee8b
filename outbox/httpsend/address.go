package httpsend

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// ParseAddress reads the address of a web server, without regard to blanks around it. The error is an
// *outbox.Unusable with an example of a right one; it never quotes the address, which may hold a password.
func ParseAddress(text, example string) (url.URL, error) {
	text = strings.TrimSpace(text)
	scheme, _, _ := strings.Cut(strings.ToLower(text), ":")
	u, err := url.Parse(text)
	wrong := ""
	switch {
	case text == "":
		wrong = "no address is set"
	case strings.ContainsFunc(text, unicode.IsSpace):
		wrong = "the address has a blank in it"
	case scheme != "http" && scheme != "https":
		wrong = "the address does not start with https:// or http://"
	case err != nil:
		wrong = "the address cannot be read"
	case u.Hostname() == "":
		wrong = "the address names no host"
	case !isHost(u.Hostname()):
		wrong = "the address names a host that cannot exist"
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !isPort(u.Port()):
		wrong = "the address has a port that does not exist"
	case u.User != nil:
		wrong = "the address holds a user name"
	case u.Fragment != "":
		wrong = "the address has a part behind a #"
	default:
		return url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, nil
	}
	return url.URL{}, &outbox.Unusable{Code: outbox.CodeAddress, Reason: wrong, Example: example}
}

// isHost takes what resolvers take, also names with underscores and those in other scripts. What a URL may have
// beside that in its place is a list, a quote or a variable without its value.
func isHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	return !slices.Contains(labels, "") && !strings.ContainsAny(name, "!$&'()*+,;=:[]<>\"~")
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}
