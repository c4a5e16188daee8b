package e2e

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// Making such a machine takes longer than looking at it.
func TestWhatAPersonSeesOfMessagesInEachState(t *testing.T) {
	t.Parallel()
	m := everyState(t)
	m.Offline()
	m.Run("usage", "flush")
	t.Run("the header says whose they are, and what is next", func(t *testing.T) {
		output := m.shown(140, "NO_COLOR=1", "usage", "inspect")
		want := regexp.MustCompile(`^You are 0f8fad5b-d9cb-469… \(this home's id: 3f2a9c1e…\)\.
1 message waits, since .*\d\d:\d\d: PostHog cannot be reached \(connection refused\)\. Nothing is lost\. .* (again|\d s)\.
1 message is dead: refused \(rejected\)\. 'arcade usage inspect --state dead' shows them, 'arcade usage retry' sends them once more\.
SEQ `)
		if !want.MatchString(output) {
			t.Errorf("inspect shows\n%s\nwant it to begin like\n%s", output, want)
		}
		if status := m.Must("usage", "status").Stdout; !strings.Contains(status, "You are 0f8fad5b-d9cb-469f-a165-70867728950e ") {
			t.Errorf("status shortens who somebody is:\n%s", status)
		}
		following := m.onTerminal(140, "", "usage", "inspect", "--follow")
		following.Await("secret.list: failed in ")
		following.Typed("\x03")
		code, output := following.End()
		if code != 130 || !strings.Contains(output, "You are ") || !strings.Contains(output, "1 message waits, ") {
			t.Errorf("--follow ends with %d and shows no header, or not what waits:\n%s", code, output)
		}
	})
	t.Run("why a command failed is shown", func(t *testing.T) {
		pending := []string{"usage", "inspect", "--state", "pending"}
		for _, output := range []string{m.shown(80, "", pending...), m.Must(pending...).Stdout} {
			if !strings.Contains(output, "not logged in") {
				t.Errorf("shown is\n%s\nwant why the command failed, on a terminal and in a pipe", output)
			}
		}
	})
	t.Run("why a message is dead is worth more than whose it is", func(t *testing.T) {
		for columns, titles := range map[uint16]string{
			60: "SEQ RECORDED STATE COMMAND RESULT", 80: "SEQ RECORDED STATE COMMAND RESULT NOTE",
			110: "SEQ RECORDED STATE COMMAND RESULT AS NOTE", 140: "SEQ RECORDED STATE COMMAND RESULT AS NOTE UUID",
		} {
			if output := m.shown(columns, "", "usage", "inspect"); !strings.Contains(inOneLine(output), titles+" ─") {
				t.Errorf("on %d columns inspect shows\n%s\nwant %s", columns, output, titles)
			}
		}
		if output := m.shown(80, "", "usage", "inspect", "--state", "delivered"); strings.Contains(output, "NOTE") {
			t.Errorf("there is nothing to note, and a column for it:\n%s", output)
		}
	})
	t.Run("a list says that it is cut", func(t *testing.T) {
		if output := m.shown(100, "", "usage", "inspect", "--limit", "2"); !strings.HasSuffix(output, "2 of 3; '--limit 0' shows all.\n") {
			t.Errorf("a terminal shows\n%s\nwant how many of how many at the end", output)
		}
	})
	t.Run("states are told by symbol and word, and by colour where there is any", func(t *testing.T) {
		plain, ascii := []string{"✗ dead", "✓ delivered", "○ pending"}, []string{"x dead", "+ delivered", "o pending"}
		for env, want := range map[string]struct {
			states []string
			colour bool
		}{
			"COLORTERM=": {plain, true}, "NO_COLOR=1": {plain, false}, "CLICOLOR=0": {plain, false},
			"TERM=dumb": {ascii, false}, "LANG=C": {ascii, true}, "LC_ALL=POSIX": {ascii, true},
		} {
			output := m.shown(80, env, "usage", "inspect")
			for _, state := range want.states {
				if !strings.Contains(output, state) {
					t.Errorf("with %s there is no %q in\n%s", env, state, output)
				}
			}
			if strings.Contains(output, "\x1b") != want.colour {
				t.Errorf("with %s colours are %v, want %v:\n%q", env, !want.colour, want.colour, output)
			}
			if beyond := func(r rune) bool { return r > unicode.MaxASCII }; want.states[0] == ascii[0] && strings.ContainsFunc(output, beyond) {
				t.Errorf("with %s there are characters beyond ASCII:\n%s", env, output)
			}
		}
		if piped := m.Must("usage", "inspect").Stdout; strings.Contains(piped, "\x1b") || !strings.Contains(piped, "\tdead\t") {
			t.Errorf("a pipe gets\n%s\nwant words and no colours", piped)
		}
	})
	t.Run("nothing is wider than the terminal", func(t *testing.T) { // the last: it records a command
		for _, line := range []string{
			"usage inspect", "usage inspect --state dead", "usage status", "usage flush", "usage inspect 99", "usage flush --timeout 0s",
			"secret unset A --host localhost --port 1", "--help", "help secret set", "usage report --help", "completion zsh --help",
		} {
			for _, columns := range []uint16{30, 40, 140} {
				if columns == 30 && !strings.Contains(line, "help") {
					continue // tables need more
				}
				m.fits(columns, line, m.shown(columns, "ARCADE_API_KEY="+testbed.EngineKey, strings.Fields(line)...))
			}
		}
		fresh := unflushed(t)
		notice := fresh.shown(60, "", "succeed")
		if m.fits(60, "succeed", notice); inOneLine(notice) != inOneLine(fresh.Notice()) {
			t.Errorf("the notice is %q", notice)
		}
	})
}

// fits wants no line that is wider than the terminal, but for words that stay whole, to be copied.
func (m *machine) fits(columns uint16, command, output string) {
	m.Helper()
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		line = line[strings.LastIndex(line, "\r")+1:] // the progress line was wiped
		oneWord := len(strings.Fields(line)) == 1 && !strings.HasPrefix(line, "─")
		if n := text.StringWidthWithoutEscSequences(line); n > int(columns) && !oneWord {
			m.Errorf("arcade %s shows a line of %d characters on %d columns: %q", command, n, columns, line)
		}
	}
}

const question = "Erase 1 waiting message and 2 receipts, for ever? [y/N] "

func TestClearAsksAboutWhatIsThere(t *testing.T) {
	t.Parallel()
	m := everyState(t)
	for _, test := range []struct{ answer, shows string }{
		{"n", question + "n\nNothing was erased.\n"},
		{"", question + "\nNothing was erased.\n"},
		{"y", question + "y\nErased: 1 waiting message and 2 receipts.\n"},
		{"", "There is nothing to erase.\n"},
	} {
		terminal := m.onTerminal(80, "", "usage", "clear")
		if strings.HasPrefix(test.shows, "Erase") {
			terminal.Await("[y/N] ")
			terminal.Typed(test.answer + "\n")
		}
		if code, output := terminal.End(); code != 0 || output != test.shows {
			t.Errorf("after %q clear ends with %d and shows %q, want %q", test.answer, code, output, test.shows)
		}
	}
	if output := m.shown(80, "", "usage", "inspect", "--state", "dead"); !strings.HasSuffix(output, "\nNo message is dead.\n") {
		t.Errorf("inspect --state dead shows\n%s\nwant that there is none", output)
	}
}

// The terminal has dropped what was typed before.
func TestAQuestionIsAskedAgainAtTheBeginningOfALineAndCtrlCErasesNothing(t *testing.T) {
	t.Parallel()
	m := everyState(t)
	terminal := m.onTerminal(80, "", "usage", "clear")
	terminal.Await(question)
	terminal.Cmd.Process.Signal(syscall.SIGCONT)
	terminal.Await(question + "\r" + question)
	terminal.Typed("\x03")
	code, output := terminal.End()
	if code != 130 || strings.Contains(output, "Erased") || !strings.HasSuffix(output, "\nError: interrupted.\n") {
		t.Errorf("clear ends with %d and shows %q, want 130, and the error on a line of its own", code, output)
	}
	if n := len(m.Inspect().Messages); n != 3 {
		t.Errorf("%d messages are left, want all three", n)
	}
}

func TestFlushShowsThatItWaitsForTheFirstAnswer(t *testing.T) {
	t.Parallel()
	m := everyState(t)
	m.Posthog.SetFault(outboxtest.MustFault("hang"))
	terminal := m.onTerminal(60, "", "usage", "flush", "--timeout", "1s")
	terminal.Await("] 0 of 1")
	if code, output := terminal.End(); code != 1 || !strings.HasSuffix(output, `
Error: a timeout of 1s was not enough: 1 message is left.
Run 'arcade usage flush --timeout 60s'.
`) {
		t.Errorf("flush ends with %d and shows\n%s", code, output)
	}
}
