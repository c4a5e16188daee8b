//go:build linux

package fire

import (
	"fmt"
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
	for name, env := range map[string]string{
		"a relative ARCADE_WORK_DIR":      "ARCADE_WORK_DIR=work/here",
		"a long ARCADE_WORK_DIR":          "ARCADE_WORK_DIR=" + strings.Repeat("./", 2000) + "work",
		"a relative HOME":                 "HOME=work",
		"a relative SSL_CERT_FILE":        "SSL_CERT_FILE=authority.pem",
		"a relative REQUESTS_CA_BUNDLE":   "REQUESTS_CA_BUNDLE=authority.pem",
		"a relative CURL_CA_BUNDLE":       "CURL_CA_BUNDLE=authority.pem",
		"100 kB of hosts without a proxy": "NO_PROXY=" + strings.Repeat("build-agent.example.com,", 4200),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.Require(os.Mkdir(filepath.Join(m.Home, "work"), 0o700))
			if strings.HasSuffix(env, "authority.pem") {
				m.Posthog.Close()
				m.Require(m.Posthog.ListenTLS("127.0.0.1:0"))
				m.PosthogAt = m.Posthog.URL()
				m.Require(os.WriteFile(filepath.Join(m.Home, "authority.pem"), m.Posthog.CAPEM(), 0o600))
			}
			m.with(env).Must("succeed")
			m.AwaitEvents(1)
			m.AwaitNoFlusher()
			m.NoViolations()
		})
	}
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
			recorded, missed, isTold := 1, 0, false
			for limit := 3; limit <= mostLimits && recorded == 1; limit++ {
				command := fmt.Sprintf("ulimit -n %d && exec arcade succeed", limit)
				i.same([]string{fmt.Sprint(limit)}, run(command), run("export ARCADE_USAGE_TRACKING=0; "+command))
				isTold = isTold || strings.Contains(run(fmt.Sprintf("ulimit -n %d && exec arcade usage status", limit)).Stdout,
					"Problem:       Too few files can be opened. Raise the limit")
				st := i.Status()
				recorded = st.Pending + st.Delivered
				if missed > 0 && recorded-1+st.NotRecorded != missed+1 { // below, there was none for the note, either
					t.Errorf("limit %d: %d events are recorded and %d counted as missed; want one more than %d missed",
						limit, recorded-1, st.NotRecorded, missed)
				}
				missed = st.NotRecorded
			}
			if recorded != 2 || missed == 0 || !isTold {
				t.Fatalf("%d events are recorded and %d missed up to a limit of %d, and status says why: %v; want one, some missed, and the cause",
					recorded-1, missed, mostLimits, isTold)
			}
			i.AwaitEvents(2) // where it is recorded it is delivered, too: a flusher inherits the limit
		})
	}
}
