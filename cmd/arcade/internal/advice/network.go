package advice

import (
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// Server is who a request goes to.
type Server struct {
	Name   string // as it stands in a sentence, such as "the Engine"
	Option string // what says where it is, such as "--host"
	Again  string // what to do about a network that does not work now
}

var postHog = Server{Name: "PostHog", Option: "ARCADE_USAGE_HOST", Again: nothingToDo}

// lines are the part of the table that is about the way to the server.
func (s Server) lines() []Line {
	return []Line{
		{"offline", "wait", s.Name + " cannot be reached", s.Again},
		{"timeout", "wait", s.Name + " does not answer in time", s.Again},
		{"broken", "wait", "the connection to " + s.Name + " breaks before the answer is complete", s.Again},
		{"proxy", "check_proxy", "the proxy lets nothing through to " + s.Name, "Check HTTPS_PROXY and NO_PROXY."},
		{"proxy_password", "set_proxy_password", "the proxy asks for a password",
			"Set HTTPS_PROXY to http://user:password@proxy:port."},
		{"authority", "trust_authority", s.Name + "'s certificate was signed by an unknown authority",
			"If a proxy opens TLS, let SSL_CERT_FILE name its certificate; except on Linux, add it to the system's."},
		{"certificate", "check_clock", "the certificate that is shown for " + s.Name + " is not valid",
			"Check this machine's clock, and " + s.Option + "."},
		{"portal", "log_in_to_network", "a page of this network answers in " + s.Name + "'s place",
			"Log in to this network with a browser."},
		{"redirect", "check_host", s.Name + "'s address leads elsewhere",
			"Log in to this network with a browser, or check " + s.Option + "."},
		{"foreign", "check_host", "what answers is not " + s.Name, "Check " + s.Option + ", and any proxy."},
	}
}

// Of is what the table has to say of a cause; host, which may be "", is where the server is.
func (s Server) Of(cause httpsend.Cause, host string) Line {
	for _, line := range s.lines() {
		if line.Reason == cause.Code {
			where := []string{host, detailOf(cause.Code, cause.Reason)}
			if seen := strings.Trim(strings.Join(where, ": "), ": "); seen != "" {
				line.What += " (" + seen + ")"
			}
			return line
		}
	}
	return Line{Reason: cause.Code, Advice: "wait", What: cause.Reason, Do: s.Again} // interrupted
}
