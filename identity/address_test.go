package identity

import "testing"

func TestWhereTheLoginGoes(t *testing.T) {
	for _, c := range []struct {
		name, host string
		port       int
		want       string // "": refused
	}{
		{"the default", "cloud.arcade.dev", 0, "https://cloud.arcade.dev"},
		{"this machine", "localhost", 0, "http://localhost:8000"},
		{"this machine by number", "127.0.0.1", 0, "http://localhost:8000"},
		{"this machine by any number", "0.0.0.0", 0, "http://localhost:8000"},
		{"this machine and a port", "localhost", 8001, "http://localhost:8001"},
		{"this machine, the port with the host", "127.0.0.1:8001", 0, "http://localhost:8001"},
		{"this machine by IPv6", "::1", 8001, "http://localhost:8001"},
		{"this machine by another of its numbers", "127.0.0.2", 0, "http://localhost:8000"},
		{"this machine in capitals", "LocalHost", 0, "http://localhost:8000"},
		{"another machine and a port", "cloud.example", 8001, "https://cloud.example:8001"},
		{"another machine, whose own port beats the other", "cloud.example:8443", 8001, "https://cloud.example:8443"},
		{"an IPv6 address and a port", "2001:db8::1", 8443, "https://[2001:db8::1]:8443"},
		{"another machine, the port with the host", "cloud.example:8443", 0, "https://cloud.example:8443"},
		{"an IPv6 address", "2001:db8::1", 0, "https://[2001:db8::1]"},
		{"an IPv6 address in brackets, with a port", "[2001:db8::1]:8443", 0, "https://[2001:db8::1]:8443"},
		{"nothing", "", 0, ""},
		{"a URL", "https://cloud.arcade.dev", 0, ""},
		{"a path", "cloud.arcade.dev/x", 0, ""},
		{"a query", "cloud.arcade.dev?x", 0, ""},
		{"somebody's name and password", "me:secret@cloud.arcade.dev", 0, ""},
		{"a port that is no number", "cloud.arcade.dev:http", 0, ""},
		{"a blank", "cloud arcade", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := CloudBase(c.host, c.port)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("CloudBase(%q, %d) is %q, %v; want %q", c.host, c.port, got, err, c.want)
			}
		})
	}
}

func TestTheEngineOfACloud(t *testing.T) {
	for cloud, want := range map[string]string{
		DefaultCloudURL:                     "https://api.arcade.dev",
		"https://cloud.arcade.dev/":         "https://api.arcade.dev",
		"https://Cloud.Tenant.Dev":          "https://api.tenant.dev",
		"https://cloud.tenant.dev:8443":     "https://api.tenant.dev:8443",
		"http://localhost:8000":             "http://localhost:9099",
		"http://127.0.0.1:8000":             "http://localhost:9099",
		"http://[::1]:8000":                 "http://localhost:9099",
		"http://cloud.localhost:8000":       "http://api.localhost:8000",
		"https://coordinator.tenant.dev":    "", // "": nobody can tell
		"https://mycloud.tenant.dev":        "",
		"https://tenant.dev":                "",
		"http://cloud.tenant.dev":           "", // anybody could read the token
		"https://me:x@cloud.arcade.dev":     "",
		"https://cloud.arcade.dev.evil.com": "https://api.arcade.dev.evil.com", // its own, and not ours
		"cloud.arcade.dev":                  "",
		"":                                  "",
	} {
		if got, ok := EngineURL(cloud); got != want || ok != (want != "") {
			t.Errorf("the Engine of %q is %q, %v; want %q: a token must not go elsewhere", cloud, got, ok, want)
		}
	}
}
