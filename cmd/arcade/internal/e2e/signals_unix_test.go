//go:build unix

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	signaling "os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
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
			cmd := m.started("wait")
			cmd.Process.Signal(signal)
			if signal == syscall.SIGHUP { // from the shell, after the system's
				cmd.Process.Signal(signal)
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != want.code {
				t.Errorf("the exit code is %d, want %d", code, want.code)
			}
			if got := m.AwaitEvents(1, time.Minute)[0].Properties()["error_message"]; got != want.words {
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
	program := cmd.Path
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `trap "" HUP; exec "$0" wait`, program}
	awaitFirstByte(m, cmd)
	cmd.Process.Signal(syscall.SIGHUP)
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 143 {
		t.Errorf("the exit code is %d, want 143: the hang-up is not for it, the end is", code)
	}
}

func TestAPipeThatNobodyReadsEndsACommandQuietlyAndWithItsEvent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.WriteCredentials("arc_ada")
	for _, args := range [][]string{{"whoami"}, {"usage", "status"}, {"usage", "inspect", "--json"}, {"help"}} {
		reader, writer, err := os.Pipe()
		m.Require(err)
		reader.Close()
		cmd := m.Command(args...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = writer, &stderr
		cmd.Env = append(cmd.Env, testbed.Flusher)
		cmd.Run()
		writer.Close()
		if code := cmd.ProcessState.ExitCode(); code != 141 || bytes.Contains(stderr.Bytes(), []byte("Error")) {
			t.Errorf("arcade %v ends with %d and says %q, want 141 and no error", args, code, stderr.String())
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
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	m.Must("succeed")
	reader, writer, err := os.Pipe()
	m.Require(err)
	cmd := m.Command("usage", "inspect", "--follow")
	cmd.Stdout = writer
	m.Require(cmd.Start())
	defer cmd.Process.Kill()
	writer.Close()
	reader.Read(make([]byte, 1))
	reader.Close()
	time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 141 {
		t.Errorf("it ends with %d, want 141 (-1: it went on, and had to be killed)", code)
	}
}

// started starts a command that says when it is under way.
func (m *machine) started(args ...string) *exec.Cmd {
	m.Helper()
	cmd := m.Command(args...)
	awaitFirstByte(m, cmd)
	return cmd
}

func awaitFirstByte(m *machine, cmd *exec.Cmd) {
	m.Helper()
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	m.Require(err)
	m.Cleanup(func() { cmd.Process.Kill() })
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		m.Fatal(err)
	}
}
