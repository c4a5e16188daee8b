package identity

import (
	"net/url"
	"testing"
)

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

func TestWhatBelongsToALogin(t *testing.T) {
	for _, c := range []struct {
		cloud, server string
		want          bool
	}{
		{"", "https://cloud.arcade.dev", true},
		{"", "https://api.arcade.dev", true},
		{"", "https://API.arcade.dev:8443", true},
		{"", "http://api.arcade.dev", false}, // anybody on the way can answer
		{"", "https://api.arcade.dev.evil.example", false},
		{"", "https://arcade.dev", false},
		{"", "http://localhost:9099", false},
		{"https://cloud.tenant.dev:8443/", "https://cloud.tenant.dev", true},
		{"https://cloud.tenant.dev", "https://api.tenant.dev", true},
		{"https://cloud.tenant.dev", "https://api.arcade.dev", false},
		{"https://coordinator.tenant.dev", "https://api.tenant.dev", false},
		{"http://localhost:8000", "http://127.0.0.1:9099", true},
		{"http://127.0.0.1:8000", "https://[::1]", true},
		{"http://localhost:8000", "https://api.arcade.dev", false},
		{"https://%zz", "https://api.arcade.dev", false},
		{"nonsense", "nonsense", false},
	} {
		u, err := url.Parse(c.server)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Credentials{CoordinatorURL: c.cloud}).Owns(u); got != c.want {
			t.Errorf("a login of %q owns %s: %v; want %v", c.cloud, c.server, got, c.want)
		}
	}
}
