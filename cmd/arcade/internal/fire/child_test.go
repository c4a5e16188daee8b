//go:build linux

package fire

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// What a command can work with, its flusher can, too: it works in another directory.
func TestAFlusherFindsWhatItsCommandFound(t *testing.T) {
	hosts := strings.Repeat("build-agent.example.com,", 3000)
	for name, given := range map[string]func(m *machine) (env []string){
		"a relative ARCADE_WORK_DIR":      func(*machine) []string { return []string{"ARCADE_WORK_DIR=work/here"} },
		"a long ARCADE_WORK_DIR":          func(*machine) []string { return []string{"ARCADE_WORK_DIR=" + strings.Repeat("./", 2000) + "work"} },
		"a relative HOME":                 func(*machine) []string { return []string{"HOME=work"} },
		"a relative SSL_CERT_FILE":        authorityIn("SSL_CERT_FILE"),
		"a relative REQUESTS_CA_BUNDLE":   authorityIn("REQUESTS_CA_BUNDLE"),
		"a relative CURL_CA_BUNDLE":       authorityIn("CURL_CA_BUNDLE"),
		"150 kB of hosts without a proxy": func(*machine) []string { return []string{"NO_PROXY=" + hosts, "no_proxy=" + hosts} },
		"a private authority behind a proxy that wants a password": func(m *machine) []string {
			front := httptest.NewTLSServer(m.Posthog) // its certificate is for example.com
			m.Cleanup(front.Close)
			proxy := testbed.NewProxy(m, front.URL, "Basic YWRhOnNlc2FtZQ==")
			m.PosthogAt = "https://example.com"
			authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
			return []string{"SSL_CERT_FILE=" + m.pemFile(authority), "HTTPS_PROXY=" + strings.Replace(proxy.URL, "://", "://ada:sesame@", 1)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.Require(os.Mkdir(filepath.Join(m.Home, "work"), 0o700))
			m.with(given(m)...).Must("succeed")
			m.AwaitEvents(1)
			m.AwaitNoFlusher()
			m.NoViolations()
		})
	}
}

// authorityIn lets PostHog have a certificate whose authority is in the file that a variable names.
func authorityIn(variable string) func(m *machine) []string {
	return func(m *machine) []string {
		m.Posthog.Close()
		m.Require(m.Posthog.ListenTLS("127.0.0.1:0"))
		m.PosthogAt = m.Posthog.URL()
		return []string{variable + "=" + filepath.Base(m.pemFile(m.Posthog.CAPEM()))}
	}
}

func (m *machine) pemFile(content []byte) (path string) {
	m.Helper()
	path = filepath.Join(m.Home, "authority.pem")
	m.Require(os.WriteFile(path, content, 0o600))
	return path
}

// How many descriptors a process inherits is not ours to choose, so all limits are tried, up to one that is high enough.
func TestWithTooFewDescriptorsACommandIsAsWithoutTrackingAndWhatIsMissedIsCounted(t *testing.T) {
	for fd := 3; fd < 256; fd++ {
		syscall.CloseOnExec(fd) // what this process inherited, which is less in one place than in another
	}
	for _, inherited := range []int{0, 5} {
		t.Run(fmt.Sprint(inherited, " inherited"), func(t *testing.T) {
			i := newInstallation(t)
			const mostLimits = 64
			i.unsent().Must("succeed") // makes the directory, where a note of what is missed goes
			run := func(command string) testbed.Result {
				cmd := i.shell(command)
				cmd.ExtraFiles = slices.Repeat([]*os.File{os.Stdin}, inherited)
				return i.Finish(cmd)
			}
			recorded, missed := 1, 0
			for limit := 3; limit <= mostLimits && recorded == 1; limit++ {
				command := fmt.Sprintf("ulimit -n %d && exec arcade succeed", limit)
				i.same([]string{fmt.Sprint(limit)}, run(command), run("export ARCADE_USAGE_TRACKING=0; "+command))
				st := i.Status()
				recorded = st.Pending + st.Delivered
				if missed > 0 && recorded-1+st.NotRecorded != missed+1 { // below, there was none for the note, either
					t.Errorf("limit %d: %d events are recorded and %d counted as missed; want one more than %d missed", limit, recorded-1, st.NotRecorded, missed)
				}
				missed = st.NotRecorded
			}
			if recorded != 2 || missed == 0 {
				t.Fatalf("%d events are recorded and %d missed up to a limit of %d; want one, and some missed", recorded-1, missed, mostLimits)
			}
			i.AwaitEvents(2) // where it is recorded it is delivered, too: a flusher inherits the limit
		})
	}
}

func TestStatusSaysThatTooFewDescriptorsAreLeft(t *testing.T) {
	i := newInstallation(t)
	r := i.Finish(i.shell("ulimit -n 12 && exec arcade usage status"))
	if r.Code != 1 || !strings.Contains(r.Stdout, "Too few files can be opened. Raise the limit") {
		t.Errorf("status: %+v\nwant the cause, and what to do", r)
	}
}
