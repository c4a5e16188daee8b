//go:build linux

package fire

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a command can work with, its flusher can, too: it works in another directory.
func TestAFlusherFindsWhatItsCommandFound(t *testing.T) {
	tests := map[string]func(m *machine) (env []string){
		"a relative ARCADE_WORK_DIR":    func(*machine) []string { return []string{"ARCADE_WORK_DIR=work/here"} },
		"a relative HOME":               func(*machine) []string { return []string{"HOME=work"} },
		"a relative SSL_CERT_FILE":      authorityIn("SSL_CERT_FILE"),
		"a relative REQUESTS_CA_BUNDLE": authorityIn("REQUESTS_CA_BUNDLE"),
		"a relative CURL_CA_BUNDLE":     authorityIn("CURL_CA_BUNDLE"),
		"150 kB of hosts without a proxy": func(*machine) []string {
			hosts := strings.Repeat("build-agent.example.com,", 3000)
			return []string{"NO_PROXY=" + hosts, "no_proxy=" + hosts}
		},
		"a long ARCADE_WORK_DIR": func(*machine) []string {
			return []string{"ARCADE_WORK_DIR=" + strings.Repeat("./", 2000) + "work"}
		},
	}
	for name, given := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			if err := os.Mkdir(filepath.Join(m.Home, "work"), 0o700); err != nil {
				t.Fatal(err)
			}
			m.with(given(m)...).Must("succeed")
			m.AwaitEvents(1, 15*time.Second)
			m.AwaitNoFlusher()
			m.NoViolations()
		})
	}
}

// authorityIn lets PostHog have a certificate whose authority is in the file that a variable names.
func authorityIn(variable string) func(m *machine) []string {
	return func(m *machine) []string {
		m.Posthog.Close()
		if err := m.Posthog.ListenTLS("127.0.0.1:0"); err != nil {
			m.Fatal(err)
		}
		m.PosthogAt = m.Posthog.URL()
		return []string{variable + "=" + filepath.Base(m.pemFile(m.Posthog.CAPEM()))}
	}
}
