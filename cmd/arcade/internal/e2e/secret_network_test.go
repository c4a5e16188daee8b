package e2e

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
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
		there := m.with(strings.Fields(names.Replace(env))...)
		return there.Finish(there.secretCommand("list", "-h", "[::ffff:127.0.0.1]", "-p", testbed.PortOf(engine.URL)))
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
		m := newMachine(t)
		proxy, asked := newProxy(t, engine.URL, "")
		m.writeAt("authority.pem", string(engine.CertificatePEM()))
		there := m.with("SSL_CERT_FILE="+filepath.Join(m.Home, "authority.pem"), "HTTPS_PROXY="+proxy)
		r := there.Finish(there.secretCommand("set", "A="+sentinel, "-h", "example.com", "-p", "8443"))
		if r.Code != 0 || len(asked) != 1 || <-asked != "example.com:8443" {
			t.Errorf("%+v; want the proxy to be asked for example.com:8443, once", r)
		}
	})
	t.Run("HTTPS_PROXY of a flusher, with a password", func(t *testing.T) {
		onlyLinuxReadsSSLCertFile(t)
		m := newMachine(t)
		front := httptest.NewTLSServer(m.Posthog) // its certificate is for example.com
		t.Cleanup(front.Close)
		m.PosthogAt = "https://example.com"
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
		m.writeAt("authority.pem", string(authority))
		proxy, _ := newProxy(t, front.URL, "Basic YWRhOnNlc2FtZQ==")
		withPassword := "HTTPS_PROXY=" + strings.Replace(proxy, "://", "://ada:sesame@", 1)
		m.with("SSL_CERT_FILE="+filepath.Join(m.Home, "authority.pem"), withPassword).Must("succeed")
		m.AwaitEvents(1)
		m.AwaitNoFlusher() // before the server ends
	})
	t.Run("NO_PROXY", func(t *testing.T) {
		m := newMachine(t)
		var asked atomic.Int32
		proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		t.Cleanup(proxy.Close)
		there := m.with("HTTP_PROXY=" + proxy.URL)
		there.Finish(there.secretCommand("set", "A=1", "-h", thisMachine, "--no-tls"))
		before := asked.Load()
		there = there.with("NO_PROXY=0.0.0.0")
		r := there.Finish(there.secretCommand("set", "A=1", "-h", thisMachine, "--no-tls"))
		if before == 0 || asked.Load() != before || r.Code != 0 {
			t.Errorf("the proxy was asked %d times, and %d times with NO_PROXY: %+v; want none more", before, asked.Load(), r)
		}
	})
}
