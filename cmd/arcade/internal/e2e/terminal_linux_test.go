package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// onTerminal starts a command on a terminal of that many columns.
func (m *machine) onTerminal(columns uint16, env string, args ...string) *session {
	m.Helper()
	return onTerminal(m, columns, m.with(env).Command(args...))
}

// shown runs a command on a terminal and returns what it shows.
func (m *machine) shown(columns uint16, env string, args ...string) string {
	m.Helper()
	_, output := m.onTerminal(columns, env, args...).End()
	return output
}

// leaves makes a shell start cmd and tell what cmd has left unread on the terminal.
func leaves(cmd *exec.Cmd) *exec.Cmd {
	const script = `"$@"; code=$?; stty -icanon min 0 time 5; printf 'left: <%s>\n' "$(cat)"; exit $code`
	cmd.Args = append([]string{"sh", "-c", script, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// pasted pastes into what a command of a new machine asks, after await, piece by piece as over a slow line. It begins anew
// where this machine was so busy that a piece may have come later than a program waits for it, which proves nothing.
func pasted(t *testing.T, command func() *exec.Cmd, await func(*session), pieces []string) (code int, output string) {
	t.Helper()
	const pause = 300 * time.Millisecond // of package term
	for range 10 {
		terminal := onTerminal(t, 100, leaves(command()))
		await(terminal)
		inTime := true
		for i, last := 0, time.Now(); i < len(pieces); i++ {
			if i > 0 {
				time.Sleep(50 * time.Millisecond)
			}
			began := time.Now()
			terminal.Typed(pieces[i])
			inTime = inTime && (i == 0 || time.Since(last) < pause)
			last = began
		}
		if code, output = terminal.End(); inTime {
			if !strings.HasSuffix(output, "left: <>\n") {
				t.Errorf("the terminal shows %q, want nothing to be left to the shell, which would run it", output)
			}
			return code, output
		}
	}
	t.Skip("this machine is too busy to paste in time")
	return 0, ""
}

// A shell would run what a question leaves unread, and keep it in its history.
func TestAPasteIsReadToItsEndAndSeveralLinesAreRefused(t *testing.T) {
	t.Parallel()
	const begin, end = "\x1b[200~", "\x1b[201~"
	const pem = "-----BEGIN KEY-----\r" + sentinel + "\r-----END KEY-----"
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
	for question, advice := range map[string]string{
		"set KEY": "Pipe it in: arcade secret set KEY=- < file", "set KEY=-": "Pipe it in: arcade secret set KEY=- < file",
		"login --with-key": "--with-key < key.txt",
	} {
		for name, paste := range pastes {
			t.Run(question+": "+name, func(t *testing.T) {
				t.Parallel()
				var m *machine
				code, output := pasted(t, func() *exec.Cmd {
					m = untracked(t)
					m.Meet("ada")
					if question == "login --with-key" {
						return m.Command(append([]string{"login", "--with-key"}, testbed.At(m.Cloud.URL)...)...)
					}
					return m.secretCommand(strings.Fields(question)...)
				}, func(s *session) { s.AwaitEcho(false) }, paste.chunks)
				if strings.Contains(output, sentinel) {
					t.Errorf("the terminal shows %q, want nothing of what was typed", output)
				}
				if strings.Count(output, "\x1b[?2004h") != 1 || strings.Count(output, "\x1b[?2004l") != 1 {
					t.Errorf("the terminal shows %q, want brackets around pastes while it is asked, and not afterwards", output)
				}
				if paste.refused {
					if code != 1 || !strings.Contains(output, "several lines") || !strings.Contains(output, advice) {
						t.Errorf("exit code %d, %q; want 1 and %q", code, output, advice)
					}
					m.nothingArrived()
					return
				}
				if code != 0 {
					t.Errorf("exit code %d, %q; want the line taken", code, output)
				}
				if items := m.Engine.Items(); question != "login --with-key" && (len(items) != 1 || items[0].Value != "arc_ada") {
					t.Errorf("the Engine has %+v, want what was pasted without its brackets", items)
				}
			})
		}
	}
}

// nothingArrived wants no request at the Engine.
func (m *machine) nothingArrived() {
	m.Helper()
	if got := m.Engine.Requests(); len(got) != 0 {
		m.Errorf("the Engine got %v, want nothing: half a secret is none", got)
	}
}

func TestAPasteAtAQuestionIsNoYesAndLeavesNothingToTheShell(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command string
		pieces  []string
	}{
		"several lines":           {"forget", []string{"y\rrm " + sentinel + "\r"}},
		"several lines in pieces": {"clear", []string{"y\r", "rm " + sentinel + "\r", "ls\r"}},
		"without a last end":      {"clear", []string{"y\r", "rm " + sentinel}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m *machine
			_, output := pasted(t, func() *exec.Cmd {
				m = everyState(t)
				return m.Command("usage", test.command)
			}, func(s *session) { s.Await("[y/N] ") }, test.pieces)
			if n := len(m.Inspect().Messages); n != 3 || !strings.Contains(output, "Nothing was") {
				t.Errorf("the terminal shows %q and %d messages are left, want that nothing was done", output, n)
			}
		})
	}
}

func TestAKeyWithoutAValueIsAskedForHidden(t *testing.T) {
	t.Parallel()
	const typed, empty = " " + sentinel + " # $HOME ", "the value is empty"
	for name, test := range map[string]struct {
		typed string
		code  int
		shows string
	}{
		"it is kept as it was typed, blanks included": {typed + "\n", 0,
			"\x1b[?2004hValue of 'KEY' (not shown): \x1b[?2004l\nSecret 'KEY' with value ending in ...OME  set successfully\n"},
		"nothing typed is wrong usage":      {"\n", 2, empty},
		"a blank is nothing":                {" \n", 2, empty},
		"Ctrl-D is nothing":                 {"\x04", 2, empty},
		"a blank and Ctrl-D are nothing":    {" \x04\x04", 2, empty},
		"what the terminal cuts is refused": {strings.Repeat("x", 6000) + "\n", 1, "Pipe it in: arcade secret set KEY=- < file"},
		"Ctrl-C ends the question":          {"\x03", 130, "\nError: interrupted.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			terminal := onTerminal(t, 80, m.secretCommand("set", "KEY"))
			terminal.AwaitEcho(false)
			terminal.Typed(test.typed)
			code, output := terminal.End()
			if code != test.code || !strings.Contains(output, test.shows) || test.code == 0 && output != test.shows {
				t.Errorf("exit code %d, and the terminal shows %q; want %d and %q", code, output, test.code, test.shows)
			}
			if test.code != 0 {
				m.nothingArrived()
			} else if items := m.Engine.Items(); len(items) != 1 || items[0].Value != typed {
				t.Errorf("the Engine has %+v, want what was typed", items)
			}
		})
	}
	// A shell shows what is typed while it has the terminal. Nor may an event, a file or a line of debug output have it.
	t.Run("it is hidden again after Ctrl-Z and fg, and written nowhere", func(t *testing.T) {
		m := unflushed(t)
		cmd := m.secretCommand("set", "KEY")
		cmd.Env = append(cmd.Env, "ARCADE_USAGE_TRACKING=1", "ARCADE_USAGE_DEBUG=1")
		terminal := onTerminal(t, 80, cmd)
		terminal.AwaitEcho(false)
		terminal.Cmd.Process.Signal(syscall.SIGSTOP)
		stty := exec.Command("stty", "echo")
		stty.Stdin = terminal.TTY
		m.Require(stty.Run())
		terminal.Cmd.Process.Signal(syscall.SIGCONT)
		terminal.AwaitEcho(false)
		terminal.Typed(sentinel + "\n")
		code, written := terminal.End()
		written += m.Must("usage", "inspect", "--json").Stdout
		m.Require(filepath.WalkDir(m.Path(""), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			written += string(content)
			return err
		}))
		if code != 0 || strings.Contains(written, sentinel) || strings.Count(written, "secret.set") != 3 {
			t.Errorf("exit code %d and %q, want 0, one event in three places, and nothing of what was typed", code, written)
		}
	})
	t.Run("nobody is asked who is not logged in", func(t *testing.T) {
		cmd := newMachine(t).secretCommand("set", "KEY")
		cmd.Env = append(cmd.Env, "ARCADE_API_KEY=")
		if code, output := onTerminal(t, 80, cmd).End(); code != 1 || !strings.HasPrefix(output, "Error: you are not logged in.") {
			t.Errorf("exit code %d, %q; want no question", code, output)
		}
	})
}
