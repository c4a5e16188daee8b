package secrets

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// DefaultHost is where Arcade Cloud's Engine answers.
const DefaultHost = "api.arcade.dev"

const localhost = "localhost"

// Options say where a server is, as the user typed it.
type Options struct {
	Host  string // a name or an address, with or without ":port"
	Port  string // for a Host without one; "" for the default
	TLS   bool
	NoTLS bool // beats TLS
	// Cloud marks an Arcade Cloud in place of an Engine. For it, every address of this machine means localhost.
	Cloud bool
}

// usual returns the host that serves as an example, and the server's port on localhost.
func (o Options) usual() (host, port string) {
	if o.Cloud {
		return "cloud.arcade.dev", "8000"
	}
	return DefaultHost, "9099"
}

// BaseURL returns the address of the server that the options describe: scheme and host,
// without a path. An error reports wrong usage and says what to give instead. It never
// repeats the host, which may hold a password.
func BaseURL(o Options) (*url.URL, error) {
	host, port, err := o.splitHost()
	if err != nil {
		return nil, err
	}
	example, localPort := o.usual()
	if host = o.canonical(host); host == "" {
		return nil, errors.New("the host is neither a host name nor an IP address: give one such as " + example)
	}
	if port = cmp.Or(port, o.Port); port == "" && host == localhost {
		port = localPort
	}
	u := &url.URL{Scheme: "https", Host: host}
	if o.NoTLS || host == localhost && !o.TLS {
		u.Scheme = "http"
	}
	if number, err := strconv.ParseUint(port, 10, 16); err == nil && number > 0 {
		u.Host = net.JoinHostPort(host, strconv.FormatUint(number, 10))
	} else if port != "" {
		return nil, errors.New("the port must be a number from 1 to 65535")
	} else if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	return u, nil
}

// MayCarryKey reports whether a key sent to u stays secret on the way: it travels by TLS or
// does not leave this machine. Anything else needs the user's explicit --no-tls.
func MayCarryKey(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == localhost || err == nil && addr.IsLoopback()
}

// splitHost separates the port, and takes an IPv6 address out of its brackets. It refuses the parts of an address
// that are not a host's.
func (o Options) splitHost() (host, port string, err error) {
	example, local := o.usual()
	wrong := ""
	switch {
	case o.Host == "":
		return "", "", errors.New("the host is empty: give a name such as " + example)
	case strings.Contains(o.Host, "@"):
		wrong = "a user name or password"
	case strings.Contains(o.Host, "://"):
		wrong = "http:// or https://"
	case strings.ContainsAny(o.Host, `/\?#`):
		wrong = "a path"
	case strings.ContainsFunc(o.Host, unicode.IsSpace):
		wrong = "blanks"
	case isIPv6(o.Host):
		return o.Host, "", nil
	}
	if wrong != "" {
		wrong = "the host must not contain " + wrong + ": give the name alone, such as " + example
		if strings.Contains(o.Host, "://") && !o.Cloud {
			wrong += ", and choose with --tls or --no-tls"
		}
		return "", "", errors.New(wrong)
	}
	host, hasPort := o.Host, false
	if colon := strings.LastIndex(host, ":"); colon > strings.LastIndex(host, "]") {
		host, port, hasPort = host[:colon], host[colon+1:], true
	}
	host, opened := strings.CutPrefix(host, "[")
	host, closed := strings.CutSuffix(host, "]")
	if hasPort && port == "" || opened != closed || opened != strings.Contains(host, ":") {
		return "", "", fmt.Errorf("the host is written as localhost or localhost:%s, and an IPv6 address in brackets, "+
			"as [::1] or [::1]:%s", local, local)
	}
	return host, port, nil
}

func isIPv6(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Is6() && !strings.ContainsFunc(addr.Zone(), notInName)
}

// canonical returns the host as it goes over the wire: lower case, in ASCII, and localhost for this machine. It
// returns "" for a text that is not a host.
func (o Options) canonical(host string) string {
	if !isIPv6(host) {
		host = asciiName(host)
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "127.0.0.1", host == "0.0.0.0", o.Cloud && err == nil && (addr.IsLoopback() || addr.IsUnspecified()):
		return localhost
	case err == nil:
		return addr.String()
	}
	return host
}

// asciiName encodes an internationalised name, and returns "" for an invalid one. Underscores, which strict host
// names forbid, pass because names in development networks have them. The result is checked again: IDNA maps some
// characters, such as a full-width slash, to ones that would end the host.
func asciiName(name string) string {
	// A name has at most 253 characters; encoding much longer ones takes seconds.
	if len(name) > 4*253 || !utf8.ValidString(name) {
		return ""
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false),
		idna.VerifyDNSLength(true))
	ascii, err := profile.ToASCII(name)
	// The library checks the direction of writing before it maps letter-like symbols: it
	// accepts names whose encoded form it refuses.
	_, refused := profile.ToASCII(ascii)
	emptyLabel := strings.HasPrefix(ascii, ".") || strings.Contains(ascii, "..") // the library accepts one at the end
	if err != nil || refused != nil || emptyLabel || strings.ContainsFunc(ascii, notInName) {
		return ""
	}
	return ascii
}

// notInName reports a character that neither the name of a host nor that of a key can contain.
func notInName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}
