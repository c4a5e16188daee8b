package secrets

import (
	"cmp"
	"errors"
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
	// Cloud says that the server is an Arcade Cloud and no Engine: every address of this machine means localhost.
	Cloud bool
}

// localPort is the server's port on the developer's own machine.
func (o Options) localPort() string {
	if o.Cloud {
		return "8000"
	}
	return "9099"
}

// example ends a sentence about an invalid host.
func (o Options) example() string {
	if o.Cloud {
		return "such as cloud.arcade.dev"
	}
	return "such as " + DefaultHost
}

// BaseURL is the address of the server that the options describe: scheme and host, without
// a path. Its errors are wrong usage, say what to give instead and never repeat the host,
// which may hold a password.
func BaseURL(o Options) (*url.URL, error) {
	host, port, err := o.splitHost()
	if err == nil {
		host, err = o.canonical(host)
	}
	if err != nil {
		return nil, err
	}
	if port = cmp.Or(port, o.Port); port == "" && host == localhost {
		port = o.localPort()
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

// MayCarryKey reports whether a key that is sent to u stays secret on the way: it travels by TLS
// or does not leave this machine. All else needs the user's explicit --no-tls.
func MayCarryKey(u *url.URL) bool {
	if u.Scheme == "https" || u.Hostname() == localhost {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.IsLoopback()
}

// splitHost takes an IPv6 address out of its brackets and a port off the end.
func (o Options) splitHost() (host, port string, err error) {
	text := o.Host
	if err := o.onlyHost(); err != nil {
		return "", "", err
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
		return text, "", nil
	}
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		return o.splitBracketed(inner)
	}
	host, port, found := strings.Cut(text, ":")
	if found && (port == "" || strings.Contains(port, ":")) {
		own := o.localPort()
		return "", "", errors.New("after a : in the host comes a port, as in localhost:" + own +
			"; an IPv6 address stands in brackets before it, as in [::1]:" + own)
	}
	return host, port, nil
}

func (o Options) splitBracketed(inner string) (host, port string, err error) {
	host, rest, closed := strings.Cut(inner, "]")
	port, hasPort := strings.CutPrefix(rest, ":")
	addr, err := netip.ParseAddr(host)
	if !closed || err != nil || !addr.Is6() || (rest != "" && (!hasPort || port == "")) {
		return "", "", errors.New("brackets in the host hold an IPv6 address, as in [::1] or [::1]:" + o.localPort())
	}
	return host, port, nil
}

// onlyHost refuses the parts of an address that do not belong to a host.
func (o Options) onlyHost() error {
	text, alone := o.Host, ": give the name alone, "+o.example()
	switch {
	case text == "":
		return errors.New("the host is empty: give a name " + o.example())
	case strings.Contains(text, "@"):
		return errors.New("the host must not contain a user name or password" + alone)
	case strings.Contains(text, "://") && !o.Cloud:
		return errors.New("the host must not contain http:// or https://" + alone + ", and choose with --tls or --no-tls")
	case strings.Contains(text, "://"):
		return errors.New("the host must not contain http:// or https://" + alone)
	case strings.ContainsAny(text, `/\?#`):
		return errors.New("the host must not contain a path" + alone)
	case strings.ContainsFunc(text, unicode.IsSpace):
		return errors.New("the host must not contain blanks" + alone)
	}
	return nil
}

// canonical is a host as it goes over the wire: lower case, in ASCII, and with the one name localhost for this
// machine.
func (o Options) canonical(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		if strings.ContainsFunc(addr.Zone(), notInName) {
			return "", errors.New("the zone after the % of an IPv6 address is the name of a network interface, as in fe80::1%eth0")
		}
		host = addr.String()
	} else if host = asciiName(host); host == "" {
		return "", errors.New("the host is neither a host name nor an IP address: give one " + o.example())
	}
	addr, err := netip.ParseAddr(host)
	if host == "127.0.0.1" || host == "0.0.0.0" || o.Cloud && err == nil && (addr.IsLoopback() || addr.IsUnspecified()) {
		return localhost, nil
	}
	return host, nil
}

// asciiName encodes an internationalised name; "" is no name. Underscores pass, which strict host names
// forbid, because names in development networks have them. The result is looked at again: IDNA maps some
// characters to ones that would end the host, such as a full-width slash.
func asciiName(name string) string {
	// A name has at most 253 characters; encoding much longer ones takes seconds.
	if len(name) > 4*253 || !utf8.ValidString(name) {
		return ""
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.CheckHyphens(false))
	ascii, err := profile.ToASCII(name)
	// The library looks at the direction of writing before it maps letter-like symbols, so
	// what it accepts is not always what it would accept encoded.
	_, refused := profile.ToASCII(ascii)
	if err != nil || refused != nil || len(ascii) > 254 || strings.ContainsFunc(ascii, notInName) {
		return ""
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(ascii, "."), ".") {
		if label == "" || len(label) > 63 {
			return ""
		}
	}
	return ascii
}

// notInName reports a character that neither a host's name nor a key that is a name can have.
func notInName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}
