package httpsend

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// ParseAddress reads the address of a web server, without regard to blanks around it. The error is an
// *outbox.Unusable with an example of a right one; it never quotes the address, which may hold a password.
func ParseAddress(text, example string) (url.URL, error) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	wrong := ""
	switch {
	case text == "":
		wrong = "no address is set"
	case strings.ContainsFunc(text, unicode.IsSpace):
		wrong = "the address has a blank in it"
	case err != nil && !startsLikeOne(text), err == nil && u.Scheme != "http" && u.Scheme != "https":
		wrong = "the address does not start with https:// or http://"
	case err != nil:
		wrong = "the address cannot be read"
	case u.Hostname() == "":
		wrong = "the address names no host"
	case !validName(u.Hostname()):
		wrong = "the address names a host that cannot exist"
	case !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
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

func startsLikeOne(text string) bool {
	scheme, _, found := strings.Cut(strings.ToLower(text), "://")
	return found && (scheme == "http" || scheme == "https")
}

// validName takes what resolvers take, also names with underscores and those in other scripts. What a
// URL may have beside that in its place is a list, a quote or a variable without its value.
func validName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains("."+strings.TrimSuffix(host, "."), "..") && host != "." &&
		!strings.ContainsFunc(host, func(r rune) bool {
			return r < utf8.RuneSelf && !strings.ContainsRune("-_.", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16
}
