package e2e

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// thisMachine is an address of this machine that does not count as loopback.
const thisMachine = "::ffff:0.0.0.0"

// SSL_CERT_FILE counts, and what the Python CLI reads where that is not set.
func TestCertificatesComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	onlyLinuxReadsSSLCertFile(t)
	engine := secretstest.StartTLS(testbed.EngineKey)
	t.Cleanup(engine.Close)
	m := newMachine(t)
	m.writeAt("authorities/one.pem", string(engine.CertificatePEM()))
	m.writeAt("none.pem", "") // no authority is in it
	list := func(env string) testbed.Result {
		all := filepath.Join(m.Home, "authorities")
		names := strings.NewReplacer("ONE", filepath.Join(all, "one.pem"), "ALL", all, "NOT", filepath.Join(m.Home, "none.pem"))
		return m.with(strings.Fields(names.Replace(env))...).secret("list", "-h", "[::ffff:127.0.0.1]", "-p", testbed.PortOf(engine.URL))
	}
	for env, code := range map[string]int{
		"SSL_CERT_FILE=ONE":                         0,
		"REQUESTS_CA_BUNDLE=ONE":                    0,
		"CURL_CA_BUNDLE=ONE":                        0,
		"REQUESTS_CA_BUNDLE=ALL":                    0, // a directory
		"REQUESTS_CA_BUNDLE=ONE CURL_CA_BUNDLE=NOT": 0,
		"REQUESTS_CA_BUNDLE=NOT CURL_CA_BUNDLE=ONE": 1,
		"REQUESTS_CA_BUNDLE=ONE SSL_CERT_FILE=NOT":  1,
		"CURL_CA_BUNDLE=NOT SSL_CERT_FILE=ONE":      0,
		"REQUESTS_CA_BUNDLE= CURL_CA_BUNDLE=":       1,
	} {
		if r := list(env); r.Code != code {
			t.Errorf("%s: exit code %d, want %d; %s", env, r.Code, code, r.Stderr)
		}
	}
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
		r := list(name + "=NOT.missing")
		if want := "Warning: the file that " + name + " names cannot be used: "; r.Code != 1 || !strings.HasPrefix(r.Stderr, want) {
			t.Errorf("%s names no file: %+v; want %q", name, r, want)
		}
	}
}

// onlyLinuxReadsSSLCertFile skips a test where Go asks the system which certificates it trusts.
func onlyLinuxReadsSSLCertFile(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("the certificate of this test's server comes by SSL_CERT_FILE")
	}
}

// A proxy finds out nothing but the address.
func TestProxiesComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	t.Run("HTTPS_PROXY", func(t *testing.T) {
		onlyLinuxReadsSSLCertFile(t)
		engine := secretstest.StartTLS(testbed.EngineKey)
		t.Cleanup(engine.Close)
		m, proxy := newMachine(t), testbed.NewProxy(t, engine.URL, "")
		m.writeAt("authority.pem", string(engine.CertificatePEM()))
		there := m.with("SSL_CERT_FILE="+filepath.Join(m.Home, "authority.pem"), "HTTPS_PROXY="+proxy.URL)
		r := there.secret("set", "A="+sentinel, "-h", "example.com", "-p", "8443")
		if got := proxy.Passed(); r.Code != 0 || len(got) != 1 || got[0] != "CONNECT example.com:8443" {
			t.Errorf("%+v, and the proxy was asked for %v, want CONNECT example.com:8443", r, got)
		}
	})
	t.Run("NO_PROXY", func(t *testing.T) {
		m := newMachine(t)
		proxy := testbed.NewProxy(t, m.Engine.URL, "")
		for _, past := range []string{"", "NO_PROXY=0.0.0.0"} {
			r := m.with("HTTP_PROXY="+proxy.URL, past).secret("set", "A=1", "-h", thisMachine, "--no-tls")
			if got := proxy.Passed(); len(got) != 1 || past != "" && r.Code != 0 {
				t.Errorf("with %q the proxy was asked for %v, %+v; want one request, and with NO_PROXY none more", past, got, r)
			}
		}
	})
}
