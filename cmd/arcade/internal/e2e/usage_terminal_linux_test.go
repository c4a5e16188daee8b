package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// shown runs a command on a terminal of that many columns and returns what it shows.
func (m *machine) shown(columns uint16, env string, args ...string) string {
	m.Helper()
	_, output := testbed.OnTerminal(m, columns, m.onModernTerminal(env, args...)).End()
	return output
}

func (m *machine) onModernTerminal(env string, args ...string) *exec.Cmd {
	m.Helper()
	cmd := m.Command(args...)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "LANG=C.UTF-8", env)
	return cmd
}

// everyState is a machine with a linked account and a message in each state: delivered,
// dead and pending, offline.
func everyState(t *testing.T) *machine {
	t.Helper()
	s := newMachine(t)
	s.Env = append(s.Env, testbed.Flusher) // no flushers but those of this test
	const mirror = `{"anon_id": "3f2a9c1e-7b54-4d0a-9e1f-5c8d2a6b4e10", "linked_principal_id": "0f8fad5b-d9cb-469f-a165-70867728950e"}`
	file(".arcade/usage.json", mirror)(s, nil)
	s.Must("succeed")
	s.Must("usage", "flush") // only a server that has accepted something may refuse
	s.Posthog.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
	s.Must("succeed")
	s.Must("usage", "flush")
	s.Posthog.SetResults(func(outboxtest.Message) string { return "" })
	s.Offline()
	s.Run("secret", "list", "--host", "localhost", "--port", "1")
	s.Run("usage", "flush")
	return s
}

// Making such a machine takes longer than looking at it. The last check records a command.
func TestWhatAPersonSeesOfMessagesInEachState(t *testing.T) {
	t.Parallel()
	s := everyState(t)
	for _, check := range []func(*testing.T, *machine){
		theHeaderSaysWhoseTheMessagesAreAndWhatIsNext, inspectShowsWhyACommandFailed, columnsGoInTheOrderOfTheirWorth,
		statesAreToldWithoutColourAndUnicode, nothingIsWiderThanTheTerminal,
	} {
		check(t, s)
	}
}

func theHeaderSaysWhoseTheMessagesAreAndWhatIsNext(t *testing.T, s *machine) {
	output := s.shown(140, "NO_COLOR=1", "usage", "inspect")
	want := regexp.MustCompile(`^You are 0f8fad5b-d9cb-469… \(this home's id: 3f2a9c1e…\)\.
1 message waits, since (\d{4}-\d\d-\d\d )?\d\d:\d\d: PostHog cannot be reached \(connection refused\)\. Nothing is lost\. (The first command after \d s tries again|The next command tries again|Next try in \d s)\.
1 message is dead: refused \(rejected\)\. 'arcade usage inspect --state dead' shows them, 'arcade usage retry' sends them once more\.
SEQ `)
	if !want.MatchString(output) {
		t.Errorf("inspect shows\n%s\nwant it to begin like\n%s", output, want)
	}
	if status := s.Must("usage", "status").Stdout; !strings.Contains(status, "You are 0f8fad5b-d9cb-469f-a165-70867728950e ") {
		t.Errorf("status shortens who somebody is:\n%s", status)
	}
	following := testbed.OnTerminal(t, 140, s.onModernTerminal("", "usage", "inspect", "--follow"))
	following.Await("secret.list: failed in ")
	following.Typed("\x03")
	if code, output := following.End(); code != 130 || !strings.Contains(output, "You are ") || !strings.Contains(output, "1 message waits, ") {
		t.Errorf("--follow ends with %d and shows no header, or not what waits:\n%s", code, output)
	}
}

func inspectShowsWhyACommandFailed(t *testing.T, s *machine) {
	for what, output := range map[string]string{
		"inspect on a terminal": s.shown(80, "", "usage", "inspect", "--state", "pending"),
		"inspect in a pipe":     s.Must("usage", "inspect", "--state", "pending").Stdout,
	} {
		if !strings.Contains(output, "not logged in") {
			t.Errorf("%s shows\n%s\nwant why the command failed", what, output)
		}
	}
}

// Why a message is dead is worth more than whose it is.
func columnsGoInTheOrderOfTheirWorth(t *testing.T, s *machine) {
	for _, test := range []struct {
		columns uint16
		titles  string
	}{
		{60, "SEQ RECORDED STATE COMMAND RESULT"},
		{80, "SEQ RECORDED STATE COMMAND RESULT NOTE"},
		{110, "SEQ RECORDED STATE COMMAND RESULT AS NOTE"},
		{140, "SEQ RECORDED STATE COMMAND RESULT AS NOTE UUID"},
	} {
		output := s.shown(test.columns, "", "usage", "inspect")
		if !strings.Contains(strings.Join(strings.Fields(output), " "), test.titles+" ─") {
			t.Errorf("on %d columns inspect shows\n%s\nwant %s", test.columns, output, test.titles)
		}
	}
	if output := s.shown(80, "", "usage", "inspect", "--state", "delivered"); strings.Contains(output, "NOTE") {
		t.Errorf("there is nothing to note, and a column for it:\n%s", output)
	}
}

// States are told by symbol and word, and by colour where a terminal has any.
func statesAreToldWithoutColourAndUnicode(t *testing.T, s *machine) {
	const escape = "\x1b"
	plain := []string{"✗ dead", "✓ delivered", "○ pending"}
	ascii := []string{"x dead", "+ delivered", "o pending"}
	for env, want := range map[string]struct {
		states []string
		colour bool
	}{
		"COLORTERM=":   {plain, true},
		"NO_COLOR=1":   {plain, false},
		"CLICOLOR=0":   {plain, false},
		"TERM=dumb":    {ascii, false},
		"LANG=C":       {ascii, true},
		"LC_ALL=POSIX": {ascii, true},
	} {
		output := s.shown(80, env, "usage", "inspect")
		for _, state := range want.states {
			if !strings.Contains(output, state) {
				t.Errorf("with %s there is no %q in\n%s", env, state, output)
			}
		}
		if strings.Contains(output, escape) != want.colour {
			t.Errorf("with %s colours are %v, want %v:\n%q", env, !want.colour, want.colour, output)
		}
		if beyond := func(r rune) bool { return r > unicode.MaxASCII }; want.states[0] == ascii[0] && strings.ContainsFunc(output, beyond) {
			t.Errorf("with %s there are characters beyond ASCII:\n%s", env, output)
		}
	}
	piped := s.Must("usage", "inspect").Stdout
	if strings.Contains(piped, escape) || !strings.Contains(piped, "\tdead\t") {
		t.Errorf("a pipe gets\n%s\nwant words and no colours", piped)
	}
}

func nothingIsWiderThanTheTerminal(t *testing.T, s *machine) {
	words := regexp.MustCompile(`\S+`)
	for _, columns := range []uint16{40, 140} {
		for _, args := range [][]string{
			{"usage", "inspect"}, {"usage", "inspect", "--state", "dead"}, {"usage", "status"}, {"usage", "flush"},
			{"usage", "inspect", "99"}, {"usage", "flush", "--timeout", "0s"}, {"secret", "unset", "A", "--host", "localhost", "--port", "1"},
		} {
			output := s.shown(columns, "ARCADE_API_KEY="+testbed.EngineKey, args...)
			for line := range strings.Lines(output) {
				line = strings.TrimSuffix(line, "\n")
				line = line[strings.LastIndex(line, "\r")+1:] // the progress line was wiped
				oneWord := len(words.FindAllString(line, -1)) == 1 && !strings.HasPrefix(line, "─")
				if n := text.StringWidthWithoutEscSequences(line); n > int(columns) && !oneWord {
					t.Errorf("arcade %s shows a line of %d characters on %d columns: %q", strings.Join(args, " "), n, columns, line)
				}
			}
		}
	}
}

func TestInspectSaysThatAStateIsEmpty(t *testing.T) {
	s := newMachine(t)
	s.Must("succeed")
	s.Must("usage", "flush")
	for state, want := range map[string]string{"dead": "No message is dead.\n", "pending": "No message is pending.\n", "delivered": "✓ delivered"} {
		if output := s.shown(80, "", "usage", "inspect", "--state", state); !strings.Contains(output, want) {
			t.Errorf("inspect --state %s shows\n%s\nwant %q", state, output, want)
		}
	}
}

// A new anon id is as old as itself, and not as old as its home.
func TestAnIDIsAsOldAsTheLastLogout(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	m.WriteCredentials("arc_ada")
	before := m.With(testbed.TestClock + "=-72h")
	before.Must("succeed")
	if output := m.Must("usage", "status").Stdout; !strings.Contains(output, "logged in") {
		t.Fatalf("status says\n%s\nwant somebody who is logged in", output)
	}
	m.Must("logout")
	young := regexp.MustCompile(`which this home got (just now|\d+ (s|min) ago)`)
	if output := m.Must("usage", "status").Stdout; !young.MatchString(output) {
		t.Errorf("after logout status says\n%s\nwant a new id", output)
	}
}

func TestHelpFitsEveryTerminal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, columns := range []uint16{40, 120} {
		for _, args := range []string{"--help", "help secret set", "usage report --help", "completion zsh --help"} {
			for line := range strings.Lines(m.shown(columns, "X=", strings.Fields(args)...)) {
				// A word that is wider stays whole, to be copied.
				if line = strings.TrimRight(line, "\r\n"); len(line) > min(int(columns), 80) && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("on %d columns %s has a line of %d characters: %q", columns, args, len(line), line)
				}
			}
		}
	}
}

func TestTheNoticeFitsEveryTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []uint16{60, 80} {
		m := newMachine(t)
		output := m.shown(columns, testbed.Flusher, "succeed")
		if strings.Join(strings.Fields(output), " ") != strings.Join(strings.Fields(m.Notice()), " ") {
			t.Errorf("the notice is %q", output)
		}
		for line := range strings.Lines(output) {
			if len(line) > int(columns)+1 {
				t.Errorf("the notice has a line of %d characters on %d columns: %q", len(line)-1, columns, line)
			}
		}
	}
}

func TestClearAsksAboutWhatIsThere(t *testing.T) {
	t.Parallel()
	s := everyState(t)
	for _, test := range []struct{ answer, shows string }{
		{"n", "Erase 1 waiting message and 2 receipts, for ever? [y/N] n\nNothing was erased.\n"},
		{"", "Erase 1 waiting message and 2 receipts, for ever? [y/N] \nNothing was erased.\n"},
		{"y", "Erase 1 waiting message and 2 receipts, for ever? [y/N] y\nErased: 1 waiting message and 2 receipts.\n"},
		{"", "There is nothing to erase.\n"},
	} {
		terminal := testbed.OnTerminal(t, 80, s.onModernTerminal("", "usage", "clear"))
		if strings.HasPrefix(test.shows, "Erase") {
			terminal.Await("[y/N] ")
			terminal.Typed(test.answer + "\n")
		}
		if code, output := terminal.End(); code != 0 || output != test.shows {
			t.Errorf("after %q clear ends with %d and shows %q, want %q", test.answer, code, output, test.shows)
		}
	}
}

func TestFlushShowsThatItWaitsForTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s := everyState(t)
	s.Online()
	s.Posthog.SetFault(outboxtest.MustFault("hang"))
	terminal := testbed.OnTerminal(t, 60, s.onModernTerminal("", "usage", "flush", "--timeout", "1s"))
	terminal.Await("] 0 of 1")
	if code, output := terminal.End(); code != 1 || !strings.HasSuffix(output, `
Error: 1 s were not enough: 1 message is left.
Run 'arcade usage flush --timeout 60s'.
`) {
		t.Errorf("flush ends with %d and shows\n%s", code, output)
	}
}

// Lines of --debug in the middle of a progress line could not be read.
func TestDebugTakesThePlaceOfProgress(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	_, output := testbed.OnTerminal(t, 100, s.secretCommand("set", "--debug", "A=1", "B=2")).End()
	if strings.Contains(output, "[") || strings.Count(output, "\ndebug: PUT ")+strings.Count(output[:7], "debug: ") != 2 {
		t.Errorf("the terminal shows\n%s\nwant two lines about requests and no progress", output)
	}
}

// A long failure is broken between words, and its colour does not run on.
func TestErrorsAreBrokenBetweenWords(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403})
	cmd := s.secretCommand("set", "A=1")
	want := fmt.Sprintf("\x1b[31m%s\n%s\x1b[0m\n%s\n", "Error setting secret 'A': these credentials do not permit it",
		"(HTTP 403)", "Ask an administrator of the project.")
	if _, output := testbed.OnTerminal(t, 60, cmd).End(); output != want {
		t.Errorf("the terminal shows %q, want %q", output, want)
	}
}

// A shell would run what a question leaves unread.
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
			for range 10 {
				s := everyState(t)
				terminal := testbed.OnTerminal(t, 100, leaves(s.onModernTerminal("", "usage", test.command)))
				terminal.Await("[y/N] ")
				inTime := terminal.TypedInPieces(test.pieces)
				_, output := terminal.End()
				if !inTime {
					continue
				}
				if !strings.Contains(output, "Nothing was") || !strings.HasSuffix(output, "left: <>\n") {
					t.Errorf("the terminal shows %q, want that nothing was done, and nothing left to the shell", output)
				}
				if n := len(s.Inspect().Messages); n != 3 {
					t.Errorf("%d messages are left, want all three", n)
				}
				return
			}
			t.Skip("this machine is too busy to paste in time")
		})
	}
}

// The terminal has dropped what was typed before.
func TestAQuestionIsAskedAgainAtTheBeginningOfALineAndCtrlCErasesNothing(t *testing.T) {
	t.Parallel()
	s := everyState(t)
	const question = "Erase 1 waiting message and 2 receipts, for ever? [y/N] "
	terminal := testbed.OnTerminal(t, 80, s.onModernTerminal("", "usage", "clear"))
	terminal.Await(question)
	terminal.Cmd.Process.Signal(syscall.SIGCONT)
	terminal.Await(question + "\r" + question)
	terminal.Typed("\x03")
	if code, output := terminal.End(); code != 130 || strings.Contains(output, "Erased") || !strings.HasSuffix(output, "\nError: interrupted.\n") {
		t.Errorf("clear ends with %d and shows %q, want 130, and the error on a line of its own", code, output)
	}
	if n := len(s.Inspect().Messages); n != 3 {
		t.Errorf("%d messages are left, want all three", n)
	}
}
