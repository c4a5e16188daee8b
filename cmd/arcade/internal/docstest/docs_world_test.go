package docstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// world is a machine on which a reader types what the documents say, as it stands there: the
// real addresses are answered by stand-ins, behind a proxy that knows no others.
type world struct {
	*testbed.Machine
	log string // a line for each arcade that ran: its exit code and its arguments
}

func newWorld(t *testing.T) *world {
	t.Helper()
	testbed.OnlyLinuxReadsSSLCertFile(t)
	w := &world{Machine: testbed.NewMachine(t)}
	w.Cloud.Meet(strings.TrimPrefix(testbed.EngineKey, "arc_"))
	w.Cloud.Set(func(b *identitytest.Behaviour) {
		b.AuthorizeURL, b.TokenURL = identity.DefaultCloudURL+identitytest.AuthorizePath+"?tenant=t1", identity.DefaultCloudURL+identitytest.TokenPath
	})
	w.Engine.Trust(w.Cloud.Knows)
	server, authority := newNames(t, map[string]string{
		"us.i.posthog.com": w.Posthog.URL(),
		"cloud.arcade.dev": w.Cloud.URL,
		"api.arcade.dev":   w.Engine.URL,
	})
	w.Env = append(w.Env,
		"HTTPS_PROXY="+testbed.NewProxy(t, server, testbed.ProxyRules{}).URL, "SSL_CERT_FILE="+authority, "ARCADE_USAGE_HOST=",
		"TOKEN=a token of more than twelve characters", "KEY="+testbed.EngineKey)
	for _, name := range []string{".env", ".env.production"} {
		if err := os.WriteFile(filepath.Join(w.Home, name), []byte("GREETING=hello\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.writeWrapper()
	return w
}

// newNames starts a server that answers under names that are not its own.
func newNames(t *testing.T, backends map[string]string) (address, authority string) {
	t.Helper()
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		target, err := url.Parse(backends[r.In.Host])
		if err != nil {
			panic(err)
		}
		r.SetURL(target)
	}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if backends[r.Host] == "" {
			http.Error(w, "no such host in this world", http.StatusBadGateway)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	certificate := selfSigned(t, slices.Collect(maps.Keys(backends)))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "authority.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, authority
}

func selfSigned(t *testing.T, names []string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// writeWrapper puts a script before the program that writes down how each one ended: in a line
// of a shell, `|| true` and pipes hide that.
func (w *world) writeWrapper() {
	w.Helper()
	program, err := exec.LookPath("arcade")
	if err != nil {
		w.Fatal(err)
	}
	directory := w.TempDir()
	w.log = filepath.Join(directory, "log")
	script := fmt.Sprintf("#!/bin/sh\n'%s' \"$@\"\ncode=$?\necho \"$code arcade $*\" >> '%s'\nexit $code\n", program, w.log)
	if err := testbed.WriteProgram(filepath.Join(directory, "arcade"), []byte(script)); err != nil {
		w.Fatal(err)
	}
	w.Env = append(w.Env, "PATH="+directory+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// typed runs a line as a shell does and returns how it and the programs in it ended.
func (w *world) typed(line string) (r testbed.Result, programs []string) {
	w.Helper()
	cmd := w.Command()
	shell, err := exec.LookPath("sh")
	if err != nil {
		w.Skip("there is no sh here")
	}
	cmd.Path, cmd.Args = shell, []string{"sh", "-c", line}
	if err := os.WriteFile(w.log, nil, 0o600); err != nil {
		w.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	r = w.Finish(cmd)
	log, err := os.ReadFile(w.log)
	if err != nil {
		w.Fatal(err)
	}
	return r, strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
}
