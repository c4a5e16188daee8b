package e2e

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
)

// session is a process on a pseudo-terminal.
type session struct {
	testing.TB
	Cmd    *exec.Cmd
	TTY    *os.File
	master *os.File
	read   chan struct{} // closed when everything has been read

	mu     sync.Mutex
	screen strings.Builder
}

// onTerminal starts cmd on a terminal of that many columns, as its controlling one and for all
// of its streams that are not set.
func onTerminal(t testing.TB, columns uint16, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{TB: t, Cmd: cmd, read: make(chan struct{})}
	s.open(columns)
	for _, stream := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		if *stream == nil {
			*stream = s.TTY
		}
	}
	if cmd.Stdin == nil {
		cmd.Stdin = s.TTY
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: cmd.Stdin == s.TTY}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.read)
		io.Copy(s, s.master)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		s.TTY.Close()
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
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	if err == nil {
		s.TTY, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// Write is where the terminal's output goes.
func (s *session) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.Write(b)
}

// output is what was written to the terminal from that byte on.
func (s *session) output(from int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.screen.String()[from:], "\r\n", "\n")
}

// Await waits until the terminal has got a text. What it got before is not searched again: a long list would
// take the machine's time that its program needs.
func (s *session) Await(text string) {
	s.Helper()
	searched := 0
	s.await(text, func() bool {
		shown := s.output(searched)
		searched += max(0, len(shown)-2*len(text))
		return strings.Contains(shown, text)
	})
}

// AwaitEcho waits until the terminal shows what is typed, or no longer does.
func (s *session) AwaitEcho(on bool) {
	s.Helper()
	s.await(fmt.Sprintf("echo to be %v", on), func() bool { return s.echoes() == on })
}

func (s *session) await(what string, condition func() bool) {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			shown := s.output(0)
			s.Fatalf("the terminal shows %q at its end, want %q", shown[max(0, len(shown)-4000):], what)
		}
	}
}

func (s *session) echoes() bool {
	state, err := unix.IoctlGetTermios(int(s.TTY.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}

// Typed types a text.
func (s *session) Typed(text string) {
	s.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.Fatal(err)
	}
}

// End waits for the process, and returns its exit code and all that the terminal got.
func (s *session) End() (code int, output string) {
	s.Helper()
	var exit *exec.ExitError
	if err := s.Cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	if !s.echoes() {
		s.Error("the terminal does not show what is typed any more")
	}
	s.TTY.Close()
	<-s.read // the kernel ends the master's stream with an error once no process holds the tty
	return s.Cmd.ProcessState.ExitCode(), s.output(0)
}
