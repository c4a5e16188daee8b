package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// secretCommand prepares `arcade secret args...` in the environment of a modern terminal.
func (s *machine) secretCommand(args ...string) *exec.Cmd {
	s.Helper()
	cmd := s.Command(append([]string{"secret", "--host", "localhost", "--port", s.EnginePort()}, args...)...)
	cmd.Env = append(cmd.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+testbed.EngineKey, "TERM=xterm-256color", "LANG=C.UTF-8")
	return cmd
}

func TestAKeyWithoutAValueIsAskedForHidden(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"KEY", "KEY=-"} {
		t.Run(arg, func(t *testing.T) {
			s := newMachine(t)
			terminal := testbed.OnTerminal(t, 80, s.secretCommand("set", arg))
			terminal.Await("Value of 'KEY' (not shown): ")
			terminal.AwaitEcho(false)
			terminal.Typed(" " + sentinel + " # $HOME \n")
			code, output := terminal.End()
			want := "\x1b[?2004hValue of 'KEY' (not shown): \x1b[?2004l\nSecret 'KEY' with value ending in ...OME  set successfully\n"
			if code != 0 || output != want {
				t.Errorf("exit code %d, the terminal shows %q, want %q", code, output, want)
			}
			items := s.Engine.Items()
			if len(items) != 1 || items[0].Value != " "+sentinel+" # $HOME " {
				t.Errorf("the Engine has %+v, want what was typed, blanks included", items)
			}
		})
	}
	// A shell shows what is typed while it has the terminal.
	t.Run("it is hidden again after Ctrl-Z and fg", func(t *testing.T) {
		s := newMachine(t)
		terminal := testbed.OnTerminal(t, 80, s.secretCommand("set", "KEY"))
		terminal.AwaitEcho(false)
		terminal.Cmd.Process.Signal(syscall.SIGSTOP)
		terminal.ShowEcho()
		terminal.Cmd.Process.Signal(syscall.SIGCONT)
		terminal.AwaitEcho(false)
		terminal.Typed(sentinel + "\n")
		if code, output := terminal.End(); code != 0 || strings.Contains(output, sentinel) {
			t.Errorf("exit code %d and %q, want 0 and nothing of what was typed", code, output)
		}
	})
	t.Run("nothing typed is wrong usage", func(t *testing.T) {
		for _, nothing := range []string{"\n", " \n", "\x04", " \x04\x04"} { // Ctrl-D
			s := newMachine(t)
			terminal := testbed.OnTerminal(t, 80, s.secretCommand("set", "KEY"))
			terminal.AwaitEcho(false)
			terminal.Typed(nothing)
			if code, output := terminal.End(); code != 2 || !strings.Contains(output, "the value is empty") {
				t.Errorf("after %q: exit code %d, %q; want 2 for an empty value", nothing, code, output)
			}
			if got := s.Engine.Requests(); len(got) != 0 {
				t.Errorf("the Engine got %v, want nothing", got)
			}
		}
	})
	t.Run("a value that the terminal cuts is refused", func(t *testing.T) {
		s := newMachine(t)
		terminal := testbed.OnTerminal(t, 80, s.secretCommand("set", "KEY"))
		terminal.AwaitEcho(false)
		terminal.Typed(strings.Repeat("x", 3000))
		terminal.Typed(strings.Repeat("y", 3000) + "\n")
		if code, output := terminal.End(); code != 1 || !strings.Contains(output, "Pipe it in: arcade secret set KEY=- < file") {
			t.Errorf("exit code %d, %q; want to be told about KEY=-", code, output)
		}
		if got := s.Engine.Requests(); len(got) != 0 {
			t.Errorf("the Engine got %v, want nothing: half a secret is none", got)
		}
	})
	t.Run("nobody is asked who is not logged in", func(t *testing.T) {
		s := newMachine(t)
		cmd := s.secretCommand("set", "KEY")
		cmd.Env = append(cmd.Env, "ARCADE_API_KEY=")
		if code, output := testbed.OnTerminal(t, 80, cmd).End(); code != 1 || !strings.HasPrefix(output, "Error: you are not logged in.") {
			t.Errorf("exit code %d, %q; want no question", code, output)
		}
	})
	t.Run("Ctrl-C ends the question, and the terminal shows what is typed again", func(t *testing.T) {
		s := newMachine(t)
		terminal := testbed.OnTerminal(t, 80, s.secretCommand("set", "KEY"))
		terminal.AwaitEcho(false)
		terminal.Typed("\x03")
		if code, output := terminal.End(); code != 130 || !strings.HasSuffix(output, "\nError: interrupted.\n") {
			t.Errorf("exit code %d, %q; want 130 at once", code, output)
		}
	})
}

// leaves makes a shell start cmd and tell what cmd has left unread on the terminal.
func leaves(cmd *exec.Cmd) *exec.Cmd {
	const script = `"$@"; code=$?; stty -icanon min 0 time 5; printf 'left: <%s>\n' "$(cat)"; exit $code`
	cmd.Args = append([]string{"sh", "-c", script, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// A shell would run what a question leaves unread, and keep it in its history.
func TestAPasteIsReadToItsEndAndSeveralLinesAreRefused(t *testing.T) {
	t.Parallel()
	const begin, end = "\x1b[200~", "\x1b[201~"
	const pem = "-----BEGIN KEY-----\r" + sentinel + "\r-----END KEY-----"
	login := func(s *machine) *exec.Cmd {
		cmd := s.Command("login", "--with-key", "--host", "localhost", "--port", s.Cloud.Port())
		cmd.Env = append(cmd.Env, "ARCADE_USAGE_TRACKING=0", "TERM=xterm-256color", "LANG=C.UTF-8")
		return cmd
	}
	questions := map[string]struct {
		command func(s *machine) *exec.Cmd
		advice  string
	}{
		"set KEY":          {func(s *machine) *exec.Cmd { return s.secretCommand("set", "KEY") }, "Pipe it in: arcade secret set KEY=- < file"},
		"set KEY=-":        {func(s *machine) *exec.Cmd { return s.secretCommand("set", "KEY=-") }, "Pipe it in: arcade secret set KEY=- < file"},
		"login --with-key": {login, "--with-key < key.txt"},
	}
	pastes := map[string]struct {
		chunks  []string
		refused bool
	}{
		"several lines":                      {[]string{pem + "\r"}, true},
		"several lines without a last end":   {[]string{pem}, true},
		"several lines in chunks":            {strings.SplitAfter(pem+"\r", "\r"), true},
		"several lines in chunks, no end":    {strings.SplitAfter(pem, "\r"), true},
		"several lines in brackets":          {[]string{begin + pem + end}, true},
		"several lines, brackets, in chunks": {strings.SplitAfter(begin+pem+"\r"+end, "E"), true},
		"an empty line first":                {[]string{"\r" + sentinel + "\r"}, true},
		"one line and Enter":                 {[]string{"arc_ada", "\r"}, false},
		"one line with its end":              {[]string{"arc_ada\r"}, false},
		"one line in brackets and Enter":     {[]string{begin + "arc_ada" + end, "\r"}, false},
		"one line with its end, in brackets": {[]string{begin + "arc_ada\r" + end}, false},
		"two pieces in brackets and Enter":   {[]string{begin + "arc_" + end, begin + "ada" + end, "\r"}, false},
	}
	for question, q := range questions {
		for name, paste := range pastes {
			t.Run(question+": "+name, func(t *testing.T) {
				t.Parallel()
				var s *machine
				var code int
				var output string
				for attempts, inTime := 0, false; !inTime; attempts++ {
					if attempts == 10 {
						t.Skip("this machine is too busy to paste in time")
					}
					s = newMachine(t)
					s.Cloud.AddKey("arc_ada", "user_ada")
					terminal := testbed.OnTerminal(t, 100, leaves(q.command(s)))
					terminal.AwaitEcho(false)
					inTime = terminal.TypedInPieces(paste.chunks)
					code, output = terminal.End()
				}
				if !strings.HasSuffix(output, "left: <>\n") || strings.Contains(output, sentinel) {
					t.Errorf("the terminal shows %q, want nothing to be left to the shell, and nothing to be shown", output)
				}
				if strings.Count(output, "\x1b[?2004h") != 1 || strings.Count(output, "\x1b[?2004l") != 1 {
					t.Errorf("the terminal shows %q, want brackets around pastes while it is asked, and not afterwards", output)
				}
				if paste.refused {
					if code != 1 || !strings.Contains(output, "several lines") || !strings.Contains(output, q.advice) {
						t.Errorf("exit code %d, %q; want 1 and %q", code, output, q.advice)
					}
					if got := s.Engine.Requests(); len(got) != 0 {
						t.Errorf("the Engine got %v, want nothing: half a secret is none", got)
					}
					return
				}
				if code != 0 {
					t.Errorf("exit code %d, %q; want the line taken", code, output)
				}
				if items := s.Engine.Items(); question != "login --with-key" && (len(items) != 1 || items[0].Value != "arc_ada") {
					t.Errorf("the Engine has %+v, want what was pasted without its brackets", items)
				}
			})
		}
	}
}

func TestFailuresAreRedOnATerminalThatWantsColour(t *testing.T) {
	t.Parallel()
	const line = "Error setting secret 'A': the Engine has trouble of its own (HTTP 500)"
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
			s := newMachine(t)
			s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 500})
			cmd := s.secretCommand("set", "A=1")
			cmd.Env = append(cmd.Env, tt.env)
			if code, output := testbed.OnTerminal(t, 80, cmd).End(); code != 1 || output != tt.want {
				t.Errorf("exit code %d, %q, want %q", code, output, tt.want)
			}
		})
	}
}

func TestManyKeysShowProgressOnATerminal(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	s.Engine.Inject(secretstest.Fault{Mode: secretstest.Hang, Key: "C"})
	var stdout strings.Builder
	cmd := s.secretCommand("set", "A=1", "B=2", "C=3", "D=4", "E=5", "F=6", "G=7", "H=8", "I=9", "J=10")
	cmd.Stdout = &stdout
	terminal := testbed.OnTerminal(t, 40, cmd)
	terminal.Await("] 2 of 10")
	terminal.Typed("\x03")
	code, output := terminal.End()
	if code != 130 {
		t.Errorf("exit code %d after Ctrl-C, want %d", code, 130)
	}
	if got := stdout.String(); !strings.HasPrefix(got, "Secret 'A' set successfully\nSecret 'B' set successfully\n") || strings.ContainsAny(got, "\r[") {
		t.Errorf("stdout is %q, want those that were set and no progress", got)
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(output, "^C", ""), "\r") {
		if strings.HasPrefix(part, "[") && len(part) >= 40 {
			t.Errorf("the progress line %q fills a terminal of 40 columns and would wrap", part)
		}
	}
	left := output[strings.LastIndex(output[:strings.Index(output, "\n")], "\r")+1:]
	if !strings.Contains(output, " secrets set, ") || !strings.HasSuffix(output, "\x1b[0m\nError: interrupted.\n") {
		t.Errorf("the screen shows %q, want to know at its end how far it got", output)
	}
	want := "\x1b[31mError setting secret 'C': interrupted\nbefore the Engine has answered\x1b[0m\n"
	if !strings.HasPrefix(left, want) {
		t.Errorf("the screen shows %q, want the progress line wiped and %q", left, want)
	}
	t.Run("but not for nine", func(t *testing.T) {
		s := newMachine(t)
		_, output := testbed.OnTerminal(t, 40, s.secretCommand("set", "A=1", "B=2", "C=3", "D=4", "E=5", "F=6", "G=7", "H=8", "I=9")).End()
		if strings.Contains(output, "\r") || !strings.HasSuffix(output, "Secret 'I' set successfully\n9 secrets set.\n") {
			t.Errorf("the terminal shows %q, want ten plain lines", output)
		}
	})
	t.Run("and a wait between them", func(t *testing.T) {
		s := newMachine(t)
		s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 429, RetryAfter: "1", Key: "C", Times: 1})
		_, output := testbed.OnTerminal(t, 80, s.secretCommand("set", "A=1", "B=2", "C=3", "D=4", "E=5", "F=6", "G=7", "H=8", "I=9", "J=10")).End()
		if !strings.Contains(output, "\r\x1b[33mThe Engine is busy: going on in 1 s.\x1b[0m\n\r[") || !strings.HasSuffix(output, "\r10 secrets set.\n") {
			t.Errorf("the terminal shows %q, want the wait on a line of its own", output)
		}
	})
}

func TestAPlanIsATableOnATerminal(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	if err := os.WriteFile(s.Home+"/.env", []byte("A="+sentinel+"\n\nnothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, columns := range []uint16{40, 80} {
		code, output := testbed.OnTerminal(t, columns, s.secretCommand("set", "--from-env", "--dry-run")).End()
		if code != 0 || strings.Contains(output, sentinel) || !strings.Contains(strings.ReplaceAll(output, "\n", " "), "1 secret would be set. Nothing was sent.") {
			t.Errorf("exit code %d, the terminal shows\n%s", code, output)
		}
		for line := range strings.Lines(output) {
			if len([]rune(strings.TrimSuffix(line, "\n"))) > int(columns) {
				t.Errorf("%q is too wide for %d columns", line, columns)
			}
		}
	}
	if got := s.Engine.Requests(); len(got) != 0 {
		t.Errorf("the Engine got %v, want nothing", got)
	}
	t.Run("and what would be typed is no file", func(t *testing.T) {
		code, output := testbed.OnTerminal(t, 80, s.secretCommand("set", "--from-env", "-f", "-")).End()
		if code != 1 || !strings.Contains(output, "standard input is a terminal and no file") {
			t.Errorf("exit code %d, the terminal shows %q; want no typing of secrets that are shown", code, output)
		}
	})
}

func TestTheListIsATableOnATerminal(t *testing.T) {
	t.Parallel()
	list := func(s *machine, columns uint16) string {
		s.Helper()
		code, output := testbed.OnTerminal(s, columns, s.secretCommand("list")).End()
		if code != 0 {
			s.Errorf("exit code %d: %s", code, output)
		}
		return output
	}
	t.Run("with a title, relative times and words for what is absent", func(t *testing.T) {
		s := newMachine(t)
		now := time.Now().UTC()
		s.Engine.Answer(fmt.Sprintf(`{"items": [
			{"id": "1", "key": "NEW", "binding": {"type": "project"}, "description": "text", "hint": "wxyz",
			 "last_accessed_at": %q, "created_at": %q},
			{"id": "2", "key": "OLD", "hint": null, "last_accessed_at": null}]}`,
			now.Add(-3*time.Hour-time.Minute).Format(time.RFC3339), now.Add(-5*24*time.Hour-time.Hour).Format("2006-01-02T15:04:05.999999")))
		output := list(s, 100)
		for _, want := range []string{
			"Tool Secrets\n", "KEY  TYPE     DESCRIPTION  HINT     LAST ACCESSED  CREATED AT",
			"NEW  project  text         ...wxyz  3 h ago        5 days ago", "OLD  -        -            -        Never          -",
			"\n2 secrets\n",
		} {
			if !strings.Contains(output, want) {
				t.Errorf("the table has no %q:\n%s", want, output)
			}
		}
	})
	t.Run("and a sentence when there is nothing", func(t *testing.T) {
		if output := list(newMachine(t), 80); output != "There are no tool secrets. 'arcade secret set KEY' adds one.\n" {
			t.Errorf("the terminal shows %q", output)
		}
	})
}

func TestWaitingForStandardInputEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
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
	s.Eventually("the value is read", func() bool {
		waiting, err := unix.IoctlGetInt(int(writer.Fd()), unix.TIOCINQ)
		return err == nil && waiting == 0
	})
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want %d", code, 130)
	}
	if got := s.Engine.Requests(); len(got) != 0 {
		t.Errorf("the Engine got %v, want nothing of a value that was cut off", got)
	}
}
