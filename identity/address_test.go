package identity

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
)

func TestTheEngineOfACloud(t *testing.T) {
	for cloud, want := range map[string]string{
		DefaultCloudURL:                     "https://api.arcade.dev",
		"https://Cloud.Tenant.Dev":          "https://api.tenant.dev",
		"https://cloud.tenant.dev:8443":     "https://api.tenant.dev:8443",
		"http://localhost:8000":             "http://localhost:9099",
		"http://127.0.0.1:8000":             "http://localhost:9099",
		"http://[::1]:8000":                 "http://localhost:9099",
		"http://cloud.localhost:8000":       "http://api.localhost:8000",
		"https://coordinator.tenant.dev":    "", // "": it cannot be told
		"https://mycloud.tenant.dev":        "",
		"http://cloud.tenant.dev":           "", // the token could be read on its way
		"https://me:x@cloud.arcade.dev":     "",
		"https://cloud.arcade.dev.evil.com": "https://api.arcade.dev.evil.com", // its own, and not ours
		"cloud.arcade.dev":                  "",
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
		{"", "http://api.arcade.dev", false}, // its answer can be forged on the way
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
		{"https://cloud.other.dev", "https://engine.tenant.dev:8443", true}, // which it names
		{"https://%zz", "https://api.arcade.dev", false},
		{"nonsense", "nonsense", false},
	} {
		u, err := url.Parse(c.server)
		must(t, err)
		login := Credentials{Kind: ArcadeCloud, CoordinatorURL: c.cloud, EngineURL: "https://engine.tenant.dev/"}
		if got := login.Owns(u); got != c.want {
			t.Errorf("a login of %q owns %s: %v; want %v", c.cloud, c.server, got, c.want)
		}
	}
}

func TestAServerIsNamedByItsHostUnlessItIsArcadeCloud(t *testing.T) {
	for want, login := range map[string]Credentials{
		"Arcade Cloud":      {CoordinatorURL: "https://cloud.arcade.dev"},
		"c.example":         {Kind: SelfHosted, CoordinatorURL: "https://c.example/api/v1", EngineURL: "https://e.example"},
		"e.example:8443":    {Kind: SelfHosted, EngineURL: "https://e.example:8443"},
		"d.example":         {EngineURL: "https://d.example"}, // of a CLI without contexts, which does not say the kind
		"your installation": {Kind: SelfHosted},
	} {
		if got := login.Server(); got != want {
			t.Errorf("the server of %s is called %q; want %q", show(login), got, want)
		}
	}
}

func TestAKeyGoesOnlyToWhatCanBeAnAddress(t *testing.T) {
	f := CredentialsFile{Path: filepath.Join(t.TempDir(), "credentials.yaml")}
	for address, want := range map[string]string{
		"https://engine.example":       "https://engine.example",
		"https://engine.example:8443/": "https://engine.example:8443",
		"https://[::1]:443/api/v1":     "https://[::1]:443",
		"http://localhost:9099":        "http://localhost:9099",
		"https://bücher.example":       "https://xn--bcher-kva.example", // as it goes over the wire
		"http://engine.example":        "",
		"https://localhost:0":          "",
		"https://localhost:99999":      "",
		"https://localhost:abc":        "",
		"https://a..b":                 "",
		"https://.example":             "",
		"https://user@engine.example":  "",
		"https://engine.example/path":  "",
		"https://engine.example?x=y":   "",
		"engine.example":               "",
	} {
		used, err := f.Using(address, "arc_x")
		engine := ""
		if err == nil {
			engine, err = used.Engine()
		}
		if engine != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrNoEngine) {
			t.Errorf("%s: a key goes to %q (%v), want %q", address, engine, err, want)
		}
	}
}

func TestAnInstallationIsDescribedByAddressesThatALoginCanUse(t *testing.T) {
	for answer, want := range map[string]struct {
		engine, cloud, kind string
		err                 error
	}{
		`"engine": "https://e.example/", "coordinator": "https://c.example/api/v1"`: {
			"https://e.example", "https://c.example", SelfHosted, nil},
		`"urls": {"engine": "https://e.example/api/v1"}, "deployments": {"x": false}`:   {"https://e.example", "", SelfHosted, nil},
		`"coordinator": "https://cloud.arcade.dev", "dashboard": "https://d.example/x"`: {"", "https://cloud.arcade.dev", ArcadeCloud, nil},
		`"engine": "http://127.0.0.1:9099"`:                                             {"http://127.0.0.1:9099", "", SelfHosted, nil},
		`"engine": "https://e.example/engine"`:                                          {err: ErrNoEngine},
		`"engine": "http://e.example"`:                                                  {err: ErrNoEngine},
		`"engine": "https://e.example", "coordinator": "http://c.example"`:              {err: ErrNoEngine},
		`"engine": "https://e.example", "dashboard": "javascript:alert(1)"`:             {err: ErrNoEngine},
		`"version": "1.0"`: {err: ErrNoDiscovery},
		`"half": `:         {err: ErrNoDiscovery},
	} {
		server := answering(t, 200, "{"+answer+"}")
		got, err := Discover(t.Context(), server.HTTP, server.BaseURL+"/")
		if !errors.Is(err, want.err) || got.EngineURL != want.engine || err == nil && got.CloudURL() != want.cloud || got.Kind != want.kind {
			t.Errorf("%s gave %s, %v; want %+v", answer, show(got), err, want)
		}
	}
	missing := answering(t, 404, "")
	if _, err := Discover(t.Context(), missing.HTTP, missing.BaseURL); !errors.Is(err, ErrNoDiscovery) {
		t.Errorf("a server without a description gave %v; want ErrNoDiscovery", err)
	}
}

func TestAnInstallationIsAskedAtTheAddressThatAUserTypes(t *testing.T) {
	for typed, want := range map[string]string{
		" e.example/ ":           "https://e.example/.well-known/arcade",
		"http://localhost:8000/": "http://localhost:8000/.well-known/arcade",
		"bücher.example":         "https://xn--bcher-kva.example/.well-known/arcade",
		"http://e.example":       "", // its answer can be forged on the way
		"https://e.example/?x=y": "",
	} {
		asked := ""
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.String()
			return nil, errors.New("away")
		})}
		if _, err := Discover(t.Context(), client, typed); asked != want || errors.Is(err, ErrNoEngine) != (want == "") {
			t.Errorf("for %q the address %q was asked (%v); want %q", typed, asked, err, want)
		}
	}
}

// A login that cannot be read may be that of an installation which keeps to itself. A file that others could have written
// is believed in nothing else.
func TestALoginThatCannotBeReadIsKeptApartAndNoneIsNot(t *testing.T) {
	const cloud = "cloud:\n  auth: {access_token: t, refresh_token: r}\n  user: {email: ada@example.com}\n"
	for name, c := range map[string]struct {
		content, context string
		apart, key       bool // a login, and a key beside it
	}{
		"no file":                          {},
		"an empty file":                    {content: " "},
		"a login at Arcade Cloud":          {content: cloud},
		"a foreign Cloud":                  {content: "cloud: {coordinator_url: https://cloud.evil.example}\n"},
		"two contexts, of Arcade Cloud":    {content: contextFiles()["a map"]},
		"two contexts, of an installation": {content: contextFiles()["a map, the second context is active"], apart: true, key: true},
		"a map of another shape":           {content: "cloud: {contexts: [a]}\n", apart: true, key: true},
		"a damaged file":                   {content: "cloud: {\n", apart: true, key: true},
		"a context that is not in it":      {content: cloud, context: "nowhere", apart: true},
		"a context where there is no file": {context: "nowhere"},
	} {
		f := credentialsAt(t, c.content)
		f.Context = c.context
		for _, mode := range []fs.FileMode{0o600, 0o666} {
			if c.content != "" {
				setMode(t, f.Path, mode)
			}
			if used, err := f.Using("", ""); mode == 0o600 && used.Apart != c.apart || !used.FromFile {
				t.Errorf("%s: a login is apart: %v (%v), want %v", name, used.Apart, err, c.apart)
			}
			used, err := CredentialsFile{Path: f.Path}.Using("", "arc_x")
			engine, refused := used.Engine()
			if err != nil || used.Apart != c.key || (refused != nil) != c.key || !c.key && engine != "https://api.arcade.dev" {
				t.Errorf("%s, mode %o: a key goes to %q, %v, apart %v; want apart %v, else production",
					name, mode, engine, refused, used.Apart, c.key)
			}
		}
	}
}
