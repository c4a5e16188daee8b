package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// session is a process on a pseudo-terminal.
type session struct {
	testing.TB
	cmd         *exec.Cmd
	master, tty *os.File
	read        chan struct{} // closed when everything has been read

	mu     sync.Mutex
	screen strings.Builder
}

// onTerminal starts cmd on a terminal of that many columns, as its controlling one and for all
// of its streams that are not set.
func onTerminal(t testing.TB, columns uint16, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{TB: t, cmd: cmd, read: make(chan struct{})}
	s.open(columns)
	for _, stream := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		if *stream == nil {
			*stream = s.tty
		}
	}
	if cmd.Stdin == nil {
		cmd.Stdin = s.tty
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: cmd.Stdin == s.tty}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.read)
		io.Copy(s, s.master)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		s.tty.Close()
		s.master.Close()
	})
	return s
}

func (s *session) open(columns uint16) {
	s.Helper()
	var err error
	if s.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		s.Skip("this machine has no pseudo-terminals: ", err)
	}
	fd := int(s.master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		s.tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		s.Fatal(err)
	}
}

func (s *session) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.Write(b)
}

// output is everything that was written to the terminal so far.
func (s *session) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.screen.String(), "\r\n", "\n")
}

// await waits until the terminal has got a text.
func (s *session) await(text string) {
	s.Helper()
	for deadline := time.Now().Add(15 * time.Second); !strings.Contains(s.output(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("the terminal shows %q, want %q", s.output(), text)
		}
	}
}

// awaitEcho waits until the terminal shows what is typed, or no longer does.
func (s *session) awaitEcho(on bool) {
	s.Helper()
	for deadline := time.Now().Add(15 * time.Second); s.echoes() != on; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("echo is %v, want %v", !on, on)
		}
	}
}

func (s *session) echoes() bool {
	state, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}

func (s *session) typed(text string) {
	s.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.Fatal(err)
	}
}

// end waits for the process, and returns its exit code and all that the terminal got.
func (s *session) end() (code int, output string) {
	s.Helper()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	if !s.echoes() {
		s.Error("the terminal does not show what is typed any more")
	}
	s.tty.Close()
	<-s.read // the kernel ends the master's stream with an error once nobody holds the tty
	return s.cmd.ProcessState.ExitCode(), s.output()
}

// secretCommand prepares `arcade secret args...` in the environment of a modern terminal.
func (s *stage) secretCommand(args ...string) *exec.Cmd {
	s.Helper()
	cmd := s.command(append([]string{"secret", "--host", "localhost", "--port", s.enginePort()}, args...)...)
	cmd.Env = append(cmd.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+engineKey, "TERM=xterm-256color", "LANG=C.UTF-8")
	return cmd
}

func TestAKeyWithoutAValueIsAskedForHidden(t *testing.T) {
	for _, arg := range []string{"KEY", "KEY=-"} {
		t.Run(arg, func(t *testing.T) {
			s := newStage(t)
			terminal := onTerminal(t, 80, s.secretCommand("set", arg))
			terminal.await("Value of 'KEY' (not shown): ")
			terminal.awaitEcho(false)
			terminal.typed(" " + sentinel + " # $HOME \n")
			code, output := terminal.end()
			want := "Value of 'KEY' (not shown): \nSecret 'KEY' with value ending in ...OME  set successfully\n"
			if code != 0 || output != want {
				t.Errorf("exit code %d, the terminal shows %q, want %q", code, output, want)
			}
			items := s.engine.Items()
			if len(items) != 1 || items[0].Value != " "+sentinel+" # $HOME " {
				t.Errorf("the Engine has %+v, want what was typed, blanks included", items)
			}
		})
	}
	t.Run("nothing typed is wrong usage", func(t *testing.T) {
		for _, nothing := range []string{"\n", " \n"} {
			s := newStage(t)
			terminal := onTerminal(t, 80, s.secretCommand("set", "KEY"))
			terminal.awaitEcho(false)
			terminal.typed(nothing)
			if code, output := terminal.end(); code != exitUsage || !strings.Contains(output, "the value is empty") {
				t.Errorf("after %q: exit code %d, %q; want 2 for an empty value", nothing, code, output)
			}
			if got := s.engine.Requests(); len(got) != 0 {
				t.Errorf("the Engine got %v, want nothing", got)
			}
		}
	})
	t.Run("a value that the terminal cuts is refused", func(t *testing.T) {
		s := newStage(t)
		terminal := onTerminal(t, 80, s.secretCommand("set", "KEY"))
		terminal.awaitEcho(false)
		terminal.typed(strings.Repeat("x", 3000))
		terminal.typed(strings.Repeat("y", 3000) + "\n")
		if code, output := terminal.end(); code != exitFailure || !strings.Contains(output, "Write KEY=- and read the value from a file.") {
			t.Errorf("exit code %d, %q; want to be told about KEY=-", code, output)
		}
		if got := s.engine.Requests(); len(got) != 0 {
			t.Errorf("the Engine got %v, want nothing: half a secret is none", got)
		}
	})
	t.Run("nobody is asked who is not logged in", func(t *testing.T) {
		s := newStage(t)
		cmd := s.secretCommand("set", "KEY")
		cmd.Env = append(cmd.Env, "ARCADE_API_KEY=")
		if code, output := onTerminal(t, 80, cmd).end(); code != exitFailure || !strings.HasPrefix(output, "Error: you are not logged in.") {
			t.Errorf("exit code %d, %q; want no question", code, output)
		}
	})
	t.Run("Ctrl-C ends the question, and the terminal shows what is typed again", func(t *testing.T) {
		s := newStage(t)
		terminal := onTerminal(t, 80, s.secretCommand("set", "KEY"))
		terminal.awaitEcho(false)
		terminal.typed("\x03")
		if code, output := terminal.end(); code != exitInterrupted || !strings.HasSuffix(output, "\nError: interrupted.\n") {
			t.Errorf("exit code %d, %q; want 130 at once", code, output)
		}
	})
}

func TestFailuresAreRedOnATerminalThatWantsColour(t *testing.T) {
	const line = "Error setting secret 'A': the Engine has a problem (HTTP 500)"
	const hint = "Try again in a while.\n"
	const red = "\x1b[31m" + line + "\x1b[0m\n" + hint
	tests := []struct {
		name, env, want string
	}{
		{"a terminal gets red", "", red},
		{"NO_COLOR does not", "NO_COLOR=1", line + "\n" + hint},
		{"a dumb terminal does not", "TERM=dumb", line + "\n" + hint},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 500})
			cmd := s.secretCommand("set", "A=1")
			cmd.Env = append(cmd.Env, tt.env)
			if code, output := onTerminal(t, 80, cmd).end(); code != exitFailure || output != tt.want {
				t.Errorf("exit code %d, %q, want %q", code, output, tt.want)
			}
		})
	}
	t.Run("a pipe does not", func(t *testing.T) {
		s := newStage(t)
		s.engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 500})
		if r := s.secret("set", "A=1"); r.stderr != line+"\n"+hint {
			t.Errorf("stderr is %q, want it without colour", r.stderr)
		}
	})
}

func TestManyKeysShowProgressOnATerminal(t *testing.T) {
	s := newStage(t)
	s.engine.Inject(secretstest.Fault{Mode: secretstest.Hang, Key: "C"})
	var stdout strings.Builder
	cmd := s.secretCommand("set", "A=1", "B=2", "C=3")
	cmd.Stdout = &stdout
	terminal := onTerminal(t, 40, cmd)
	terminal.await("] 2 of 3")
	terminal.typed("\x03")
	code, output := terminal.end()
	if code != exitInterrupted {
		t.Errorf("exit code %d after Ctrl-C, want %d", code, exitInterrupted)
	}
	if got := stdout.String(); got != "Secret 'A' set successfully\nSecret 'B' set successfully\n" {
		t.Errorf("stdout is %q, want the two that were set and no progress", got)
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(output, "^C", ""), "\r") {
		if strings.HasPrefix(part, "[") && len(part) >= 40 {
			t.Errorf("the progress line %q fills a terminal of 40 columns and would wrap", part)
		}
	}
	left := output[strings.LastIndex(output[:strings.Index(output, "\n")], "\r")+1:]
	want := "\x1b[31mError setting secret 'C': interrupted\nbefore the Engine has answered\x1b[0m\n"
	if !strings.HasPrefix(left, want) {
		t.Errorf("the screen shows %q, want the progress line wiped and %q", left, want)
	}
	t.Run("but not for one", func(t *testing.T) {
		s := newStage(t)
		if _, output := onTerminal(t, 40, s.secretCommand("set", "A=1")).end(); output != "Secret 'A' set successfully\n" {
			t.Errorf("the terminal shows %q, want one plain line", output)
		}
	})
}

func TestTheListIsATableOnATerminal(t *testing.T) {
	list := func(s *stage, columns uint16) string {
		s.Helper()
		code, output := onTerminal(s, columns, s.secretCommand("list")).end()
		if code != 0 {
			s.Errorf("exit code %d: %s", code, output)
		}
		return output
	}
	t.Run("with a title, relative times and words for what is absent", func(t *testing.T) {
		s := newStage(t)
		now := time.Now().UTC()
		s.engine.Answer(fmt.Sprintf(`{"items": [
			{"id": "1", "key": "NEW", "binding": {"type": "project"}, "description": "text", "hint": "wxyz",
			 "last_accessed_at": %q, "created_at": %q},
			{"id": "2", "key": "OLD", "hint": null, "last_accessed_at": null}]}`,
			now.Add(-3*time.Hour-time.Minute).Format(time.RFC3339), now.Add(-5*24*time.Hour-time.Hour).Format("2006-01-02T15:04:05.999999")))
		output := list(s, 100)
		for _, want := range []string{
			"Tool Secrets\n", "Key  Type     Description  Hint     Last Accessed  Created At",
			"NEW  project  text         ...wxyz  3 h ago        5 days ago", "OLD  -        -            -        Never          -",
		} {
			if !strings.Contains(output, want) {
				t.Errorf("the table has no %q:\n%s", want, output)
			}
		}
	})
	t.Run("that keeps to a narrow terminal", func(t *testing.T) {
		s := newStage(t)
		s.engine.Answer(`{"items": [{"key": "GOOGLE_SERVICE_ACCOUNT_KEY", "binding": {"type": "project"}, "description": "` +
			strings.Repeat("very long ", 20) + `", "hint": "wxyz", "created_at": "2026-01-02T03:04:05Z"}]}`)
		for _, columns := range []uint16{40, 60, 80, 120} {
			for line := range strings.SplitSeq(strings.TrimSpace(list(s, columns)), "\n") {
				if len([]rune(line)) > int(columns) {
					t.Errorf("%q is too wide for %d columns", line, columns)
				}
			}
		}
		if output := list(s, 60); !strings.Contains(output, "GOOGLE_SERVICE_ACCOUNT_KEY") {
			t.Errorf("the key is cut at 60 columns:\n%s", output)
		}
	})
	t.Run("to which no server can send control characters", func(t *testing.T) {
		s := newStage(t)
		s.engine.Answer(`{"items": [{"key": "A\u001b[2J", "binding": {"type": "\u009b31m"}, "description": "\u001b]0;title\u0007\r\n\t\u202e", "hint": "\b"}]}`)
		for _, args := range [][]string{{"list"}, {"list", "--json"}} {
			_, output := onTerminal(t, 120, s.secretCommand(args...)).end()
			if strings.ContainsAny(strings.ReplaceAll(output, "\n", ""), "\x1b\u009b\a\b\r\t\u202e") {
				t.Errorf("%v prints control characters: %q", args, output)
			}
		}
	})
	t.Run("and a sentence when there is nothing", func(t *testing.T) {
		if output := list(newStage(t), 80); output != "There are no tool secrets. 'arcade secret set KEY' adds one.\n" {
			t.Errorf("the terminal shows %q", output)
		}
	})
}

func TestWaitingForStandardInputEndsWithCtrlC(t *testing.T) {
	s := newStage(t)
	cmd := s.secretCommand("set", "KEY=-")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	cmd.Stdin = reader
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	if _, err := writer.WriteString(sentinel); err != nil { // and no end
		t.Fatal(err)
	}
	s.eventually("the value is read", func() bool {
		waiting, err := unix.IoctlGetInt(int(writer.Fd()), unix.TIOCINQ)
		return err == nil && waiting == 0
	})
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if got := s.engine.Requests(); len(got) != 0 {
		t.Errorf("the Engine got %v, want nothing of a value that was cut off", got)
	}
}
