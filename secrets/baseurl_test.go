package secrets_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func TestBaseURL(t *testing.T) {
	type options = secrets.Options
	tests := []struct {
		name string
		o    options
		want string
	}{
		{"the cloud is asked by TLS without a port", options{Host: secrets.DefaultHost}, "https://api.arcade.dev"},
		{"localhost is asked without TLS on 9099", options{Host: "localhost"}, "http://localhost:9099"},
		{"127.0.0.1 means localhost", options{Host: "127.0.0.1"}, "http://localhost:9099"},
		{"0.0.0.0 means localhost", options{Host: "0.0.0.0"}, "http://localhost:9099"},
		{"other loopback addresses are not localhost", options{Host: "127.0.0.2"}, "https://127.0.0.2"},
		{"LocalHost is localhost", options{Host: "LocalHost"}, "http://localhost:9099"},

		{"--tls on localhost keeps its port", options{Host: "localhost", TLS: true}, "https://localhost:9099"},
		{"--no-tls turns TLS off", options{Host: "api.arcade.dev", NoTLS: true}, "http://api.arcade.dev"},
		{"--no-tls beats --tls", options{Host: "api.arcade.dev", TLS: true, NoTLS: true}, "http://api.arcade.dev"},

		{"a given port is added to a dotted name", options{Host: "api.arcade.dev", Port: "9099"}, "https://api.arcade.dev:9099"},
		{"a given port beats 9099", options{Host: "localhost", Port: "8080"}, "http://localhost:8080"},
		{"--port is not even looked at beside the host's own", options{Host: "localhost:8080", Port: "x"}, "http://localhost:8080"},

		{"Arcade Cloud is asked by TLS without a port", options{Host: "cloud.arcade.dev", Cloud: true}, "https://cloud.arcade.dev"},
		{"a Cloud on localhost listens on 8000", options{Host: "LocalHost", Cloud: true}, "http://localhost:8000"},
		{"a Cloud on any address of this machine is localhost's", options{Host: "127.0.0.2", Cloud: true}, "http://localhost:8000"},
		{"a Cloud on this machine by IPv6 is localhost's", options{Host: "[::1]:8001", Cloud: true}, "http://localhost:8001"},
		{"a Cloud on this machine by no number is localhost's", options{Host: "::", Cloud: true, Port: "8001"}, "http://localhost:8001"},

		{"a name may have underscores", options{Host: "arcade_engine.dev_net", Port: "9099"}, "https://arcade_engine.dev_net:9099"},
		{"a name may end in the root's dot", options{Host: "api.arcade.dev."}, "https://api.arcade.dev."},

		{"an internationalised name is mapped to lower case", options{Host: "BÜCHER.example", Port: "1"}, "https://xn--bcher-kva.example:1"},
		{"ß is a letter of its own", options{Host: "straße.example"}, "https://xn--strae-oqa.example"},
		{"full-width digits and dots are digits and dots", options{Host: "１２７。０。０。１"}, "http://localhost:9099"},

		{"an IPv6 address is bracketed", options{Host: "::1"}, "https://[::1]"},
		{"an IPv6 address may come in brackets", options{Host: "[2001:db8::1]"}, "https://[2001:db8::1]"},
		{"a bracketed IPv6 address keeps its own port", options{Host: "[::1]:8080", Port: "9099", NoTLS: true}, "http://[::1]:8080"},
		{"digits at the end of an IPv6 address are no port", options{Host: "::1:8080"}, "https://[::1:8080]"},
		{"an IPv6 zone is escaped", options{Host: "fe80::1%eth0", Port: "9099"}, "https://[fe80::1%25eth0]:9099"},
	}
	for _, tt := range tests {
		if got, err := secrets.BaseURL(tt.o); err != nil || got.String() != tt.want {
			t.Errorf("%s: BaseURL(%+v) = %v, %v, want %s", tt.name, tt.o, got, err, tt.want)
		}
	}
}

func TestBaseURLRefusesWhatIsNoHost(t *testing.T) {
	tests := []struct{ name, host, port, want string }{
		{"nothing", "", "", "empty"},
		{"a scheme", "https://api.arcade.dev", "", "--tls or --no-tls"},
		{"a user", "sentinel-user@api.arcade.dev", "", "user name or password"},
		{"a path", "api.arcade.dev/v1", "", "must not contain a path"},
		{"a backslash, which some clients take for a slash", `api.arcade.dev\v1`, "", "must not contain a path"},
		{"a query", "api.arcade.dev?x=1", "", "must not contain a path"},
		{"a fragment", "api.arcade.dev#x", "", "must not contain a path"},
		{"a blank", "api arcade dev", "", "must not contain blanks"},
		{"a colon without a port", "localhost:", "", "as localhost or localhost:9099"},
		{"two ports", "localhost:1:2", "", "as [::1] or [::1]:9099"},
		{"a port that is too high", "localhost", "65536", "1 to 65535"},
		{"a port that is too low", "localhost", "0", "1 to 65535"},
		{"a port with a sign", "localhost", "+1", "1 to 65535"},
		{"an open bracket", "[::1", "", "in brackets"},
		{"text behind a bracket", "[::1]x", "", "brackets"},
		{"a name in brackets", "[localhost]", "", "brackets"},
		{"an IPv6 zone that is no name", "fe80::1%a]b", "", "brackets"},
		{"a full-width slash, which IDNA turns into a slash", "api.arcade.dev／evil", "", "neither"},
		{"a character that IDNA turns into a path", "℀.example", "", "neither"},
		{"a symbol that IDNA turns into a letter of the other direction", "u\u2136", "", "neither"},
		{"an empty label", "api..dev", "", "neither"},
		{"an empty label at the end", "api.dev..", "", "neither"},
		{"nothing but the root", ".", "", "neither"},
		{"a label of 64 characters", strings.Repeat("a", 64) + ".dev", "", "neither"},
		{"a name of 300 characters", strings.Repeat("a.", 150) + "dev", "", "neither"},
		{"a control character", "api\x1b.dev", "", "neither"},
		{"bytes that are not UTF-8", "api\xff.dev", "", "neither"},
	}
	for _, tt := range tests {
		u, err := secrets.BaseURL(secrets.Options{Host: tt.host, Port: tt.port})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sentinel") {
			t.Errorf("%s: BaseURL gave %v and the error %v, want one that mentions %q and repeats nothing", tt.name, u, err, tt.want)
		}
	}
}

func TestAKeyInClearTextStaysOnThisMachine(t *testing.T) {
	for want, addresses := range map[bool]string{
		true: "https://api.arcade.dev https://192.168.1.10:9099 http://localhost:9099 http://127.0.0.1:9099 " +
			"http://127.8.9.10 http://[::1]:9099 http://[::ffff:127.0.0.1]",
		false: "http://api.arcade.dev http://192.168.1.10 http://[2001:db8::1] http://[::] " +
			"http://localhost.example.com http://127.0.0.1.example.com",
	} {
		for _, address := range strings.Fields(addresses) {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if got := secrets.MayCarryKey(u); got != want {
				t.Errorf("MayCarryKey(%s) = %v, want %v", u, got, want)
			}
		}
	}
}

func FuzzBaseURL(f *testing.F) {
	for _, host := range []string{
		"", "api.arcade.dev", "localhost", "127.0.0.1:80", "0.0.0.0", "::1", "[::1]:1", "fe80::1%eth0", "a_b", "bücher.example:1",
		"u:p@h", "http://h", "h/p", "１２７。０。０。１", "℀", "u\u2136", "xn--a", "a..b", ".", "[", "a:b:c",
	} {
		f.Add(host, "", false, false)
		f.Add(host, "9099", true, false)
		f.Add(host, "70000", false, true)
	}
	f.Fuzz(func(t *testing.T, host, port string, tls, noTLS bool) {
		u, err := secrets.BaseURL(secrets.Options{Host: host, Port: port, TLS: tls, NoTLS: noTLS})
		if err != nil {
			if len(host) > 12 && strings.Contains(err.Error(), host) && !strings.Contains(host, "arcade") {
				t.Errorf("the error repeats the host %q: %v", host, err)
			}
			return
		}
		if again, err := url.Parse(u.String()); err != nil || *again != *u {
			t.Fatalf("%q gave %s, which reads back as %v (%v)", host, u, again, err)
		}
		if strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q gave the host %q, which is not plain ASCII", host, u.Host)
		}
		same, err := secrets.BaseURL(secrets.Options{Host: u.Host, TLS: u.Scheme == "https", NoTLS: u.Scheme == "http"})
		if err != nil || same.String() != u.String() {
			t.Errorf("%q gave %s, whose host gives %v (%v): want the same", host, u, same, err)
		}
	})
}
