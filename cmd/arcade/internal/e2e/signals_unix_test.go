//go:build unix

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	signaling "os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A command that is ended from outside has a duration and a failure like every other.
func TestEverySignalEndsACommandWithItsCodeAndItsEvent(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]struct {
		code  int
		words string
	}{
		syscall.SIGINT:  {130, "interrupted"},
		syscall.SIGTERM: {143, "terminated"},
		syscall.SIGHUP:  {129, "hung up"},
		syscall.SIGQUIT: {131, "quit"}, // Ctrl-\
	} {
		t.Run(want.words, func(t *testing.T) {
			if signaling.Ignored(signal) {
				t.Skip("these tests were started so that the signal is ignored, and so are their processes")
			}
			t.Parallel()
			m := newMachine(t)
			cmd := m.underWay(m.Command("wait"))
			cmd.Process.Signal(signal)
			if signal == syscall.SIGHUP || signal == syscall.SIGTERM { // a shell repeats the system's, timeout its own
				go func() {
					for cmd.Process.Signal(signal) == nil { // until it has ended
						time.Sleep(time.Millisecond)
					}
				}()
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != want.code {
				t.Errorf("the exit code is %d, want %d", code, want.code)
			}
			if got := m.AwaitEvents(1)[0].Properties()["error_message"]; got != want.words {
				t.Errorf("the event says %v, want %s", got, want.words)
			}
		})
	}
}

// nohup starts a command so that it outlives its terminal.
func TestAHangUpThatIsToBeIgnoredIsIgnored(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cmd := m.Command("wait")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `trap "" HUP; exec "$0" wait`, cmd.Path}
	m.underWay(cmd)
	cmd.Process.Signal(syscall.SIGHUP)
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 {
		t.Errorf("the exit code is %d, want 143: the hang-up is not for it, the end is", code)
	}
}

func TestAPipeThatNobodyReadsEndsACommandQuietlyAndWithItsEvent(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	m.WriteCredentials("arc_ada")
	for _, line := range []string{"whoami", "usage status", "usage inspect --json", "help"} {
		reader, writer := m.pipe()
		reader.Close()
		cmd := m.Command(strings.Fields(line)...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = writer, &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 141 || bytes.Contains(stderr.Bytes(), []byte("Error")) {
			t.Errorf("arcade %s ends with %d and says %q, want 141 and no error", line, code, stderr.String())
		}
	}
	messages := m.Inspect().Messages
	if len(messages) == 0 || !bytes.Contains(messages[len(messages)-1].Properties, []byte("output closed")) {
		t.Errorf("recorded are %+v, want whoami with its failure", messages)
	}
}

// Following may have nothing to write for days.
func TestFollowingEndsWithItsReader(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	m.Must("succeed")
	reader, writer := m.pipe()
	cmd := m.Command("usage", "inspect", "--follow")
	cmd.Stdout = writer
	m.Require(cmd.Start())
	defer cmd.Process.Kill()
	writer.Close()
	reader.Read(make([]byte, 1))
	reader.Close()
	m.endsWith(cmd, 141)
}

func (m *machine) pipe() (reader, writer *os.File) {
	m.Helper()
	reader, writer, err := os.Pipe()
	m.Require(err)
	m.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// endsWith waits for the end of a command that may go on for ever.
func (m *machine) endsWith(cmd *exec.Cmd, code int) {
	m.Helper()
	enough := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer enough.Stop()
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		m.Errorf("it ends with %d, want %d (-1: it went on, and had to be killed)", got, code)
	}
}

// underWay starts a command, and waits for what it writes first.
func (m *machine) underWay(cmd *exec.Cmd) *exec.Cmd {
	m.Helper()
	stdout, err := cmd.StdoutPipe()
	m.Require(err)
	m.Require(cmd.Start())
	m.Cleanup(func() { cmd.Process.Kill() })
	_, err = stdout.Read(make([]byte, 1))
	m.Require(err)
	return cmd
}
