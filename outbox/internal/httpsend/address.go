package httpsend

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Address is where a sink sends to, in the parts that may be shown and the one that may not.
type Address struct {
	// Public is the address without its query, in which services like to have a token.
	Public string
	// Query is what stands behind the question mark.
	Query string
}

// ParseAddress reads the address of a web server. Blanks around it are ignored. The error is an
// *outbox.Unusable that shows the example as what a right one looks like; it never quotes what was
// read, which may hold a password.
func ParseAddress(text, example string) (Address, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	wrong := ""
	switch {
	case strings.TrimSpace(text) == "":
		wrong = "no address is set"
	case err != nil && !startsLikeOne(text), err == nil && u.Scheme != "http" && u.Scheme != "https":
		wrong = "the address does not start with https:// or http://"
	case err != nil:
		wrong = "the address cannot be read"
	case u.Hostname() == "":
		wrong = "the address names no host"
	case !validPort(u.Port()):
		wrong = "the address has a port that does not exist"
	case u.User != nil:
		wrong = "the address holds a user name"
	case u.Fragment != "":
		wrong = "the address has a part behind a #"
	default:
		u.Host = strings.ToLower(u.Host)
		public := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
		return Address{Public: public.String(), Query: u.RawQuery}, nil
	}
	return Address{}, &outbox.Unusable{Code: outbox.CodeAddress, Reason: wrong + "; a right one looks like " + example}
}

func startsLikeOne(text string) bool {
	scheme, _, found := strings.Cut(strings.ToLower(strings.TrimSpace(text)), "://")
	return found && (scheme == "http" || scheme == "https")
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16
}
