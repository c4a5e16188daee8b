package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// A long failure is broken between words, and its colour does not run on.
func TestManyKeysShowProgressOnATerminal(t *testing.T) {
	t.Parallel()
	ten := strings.Fields("set A=1 B=2 C=3 D=4 E=5 F=6 G=7 H=8 I=9 J=10")
	t.Run("until Ctrl-C, and what was set is known", func(t *testing.T) {
		m := newMachine(t)
		m.Engine.Inject(secretstest.Fault{Mode: secretstest.Hang, Key: "C"})
		var stdout strings.Builder
		cmd := m.secretCommand(ten...)
		cmd.Stdout = &stdout
		terminal := onTerminal(t, 40, cmd)
		terminal.Await("] 2 of 10")
		terminal.Typed("\x03")
		code, output := terminal.End()
		const set = "Secret 'A' set successfully\nSecret 'B' set successfully\n"
		if got := stdout.String(); code != 130 || !strings.HasPrefix(got, set) || strings.ContainsAny(got, "\r[") {
			t.Errorf("exit code %d and stdout %q, want 130, and those that were set and no progress", code, got)
		}
		for part := range strings.SplitSeq(strings.ReplaceAll(output, "^C", ""), "\r") {
			if strings.HasPrefix(part, "[") && len(part) >= 40 {
				t.Errorf("the progress line %q fills a terminal of 40 columns and would wrap", part)
			}
		}
		left := output[strings.LastIndex(output[:strings.Index(output, "\n")], "\r")+1:]
		want := "\x1b[31mError setting secret 'C': interrupted\nbefore the Engine has answered\x1b[0m\n"
		const end = "\x1b[0m\nError: interrupted.\n"
		if !strings.HasPrefix(left, want) || !strings.Contains(left, " secrets set, ") || !strings.HasSuffix(left, end) {
			t.Errorf("the screen shows %q, want the progress line wiped, %q, and how far it got", left, want)
		}
	})
	t.Run("but not for nine", func(t *testing.T) {
		_, output := onTerminal(t, 40, newMachine(t).secretCommand(ten[:10]...)).End()
		if strings.Contains(output, "\r") || !strings.HasSuffix(output, "Secret 'I' set successfully\n9 secrets set.\n") {
			t.Errorf("the terminal shows %q, want ten plain lines", output)
		}
	})
	t.Run("and a wait between them", func(t *testing.T) {
		m := newMachine(t)
		m.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 429, RetryAfter: "1", Key: "C", Times: 1})
		_, output := onTerminal(t, 80, m.secretCommand(ten...)).End()
		const busy = "\r\x1b[33mThe Engine is busy: going on in 1 s.\x1b[0m\n\r["
		if !strings.Contains(output, busy) || !strings.HasSuffix(output, "\r10 secrets set.\n") {
			t.Errorf("the terminal shows %q, want the wait on a line of its own", output)
		}
	})
	t.Run("but lines of --debug in its place", func(t *testing.T) {
		_, output := onTerminal(t, 100, newMachine(t).secretCommand(append(ten, "--debug")...)).End()
		if strings.Contains(output, "[") || strings.Count("\n"+output, "\ndebug: PUT ") != 10 {
			t.Errorf("the terminal shows\n%s\nwant a line for each request and no progress", output)
		}
	})
}

func TestAPlanIsATableOnATerminal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.writeAt(".env", "A="+sentinel+"\n\nnothing\n")
	for _, columns := range []uint16{40, 80} {
		code, output := onTerminal(t, columns, m.secretCommand("set", "--from-env", "--dry-run")).End()
		if code != 0 || strings.Contains(output, sentinel) || !strings.Contains(inOneLine(output), "1 secret would be set. Nothing was sent.") {
			t.Errorf("exit code %d, the terminal shows\n%s", code, output)
		}
		m.fits(columns, "secret set --dry-run", output)
	}
	// Secrets that are typed would be shown.
	code, output := onTerminal(t, 80, m.secretCommand("set", "--from-env", "-f", "-")).End()
	if code != 1 || !strings.Contains(output, "standard input is a terminal and no file") {
		t.Errorf("exit code %d, the terminal shows %q; want a terminal to be no file", code, output)
	}
	m.nothingArrived()
}

// Titles, relative times, and words for what is absent.
func TestTheListIsATableOnATerminal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	now := time.Now().UTC()
	m.Engine.Answer(fmt.Sprintf(`{"items": [
		{"id": "1", "key": "NEW", "binding": {"type": "project"}, "description": "text", "hint": "wxyz",
		 "last_accessed_at": %q, "created_at": %q},
		{"id": "2", "key": "OLD", "hint": null, "last_accessed_at": null}]}`,
		now.Add(-3*time.Hour-time.Minute).Format(time.RFC3339), now.Add(-5*24*time.Hour-time.Hour).Format("2006-01-02T15:04:05.999999")))
	code, output := onTerminal(t, 100, m.secretCommand("list")).End()
	for _, want := range []string{
		"Tool Secrets\n", "KEY  TYPE     DESCRIPTION  HINT     LAST ACCESSED  CREATED AT",
		"NEW  project  text         ...wxyz  3 h ago        5 days ago", "OLD  -        -            -        Never          -",
		"\n2 secrets\n",
	} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, and the table has no %q:\n%s", code, want, output)
		}
	}
	m.Engine.Answer(`{"items": []}`)
	const none = "There are no tool secrets. 'arcade secret set KEY' adds one.\n"
	if _, output := onTerminal(t, 80, m.secretCommand("list")).End(); output != none {
		t.Errorf("without any the terminal shows %q, want %q", output, none)
	}
}

func TestWaitingForStandardInputEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cmd := m.secretCommand("set", "KEY=-")
	reader, writer := m.pipe()
	cmd.Stdin = reader
	m.Require(cmd.Start())
	reader.Close()
	_, err := writer.WriteString(sentinel) // and no end
	m.Require(err)
	m.Eventually("the value is read", func() bool {
		waiting, err := unix.IoctlGetInt(int(writer.Fd()), unix.TIOCINQ)
		return err == nil && waiting == 0
	})
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want %d", code, 130)
	}
	m.nothingArrived()
}
