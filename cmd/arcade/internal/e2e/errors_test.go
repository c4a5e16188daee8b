package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// Each error says on the first line what happened and why, and on the second one what to do.
func TestEveryErrorSaysWhatHappenedAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, e := range encounters() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.happen(t)
		})
	}
}

// Status is there to find errors: it shows one with all that it knows, and fails.
func TestStatusShowsWhatIsWrongWithTheDatabase(t *testing.T) {
	t.Parallel()
	s := newMachine(t)
	file(".arcade/usage.db", strings.Repeat("no database ", 100))(s, nil)
	want := "Problem:       The usage database is damaged. The next recorded command replaces it, and keeps what can be read.\n"
	if r := s.Run("usage", "status"); r.Code != 1 || r.Stderr != "" || !strings.HasPrefix(r.Stdout, want) {
		t.Errorf("status ends with %d and says\n%s%s\nwant 1 and\n%s", r.Code, r.Stdout, r.Stderr, want)
	}
	var st cli.Status
	s.Require(json.Unmarshal([]byte(s.Run("usage", "status", "--json").Stdout), &st))
	if st.DatabaseError == nil || *st.Reason != "damaged_database" || *st.Advice != "wait" {
		t.Errorf("as JSON it says %v, want damaged_database and what to do", st)
	}
}

func (e encounter) happen(t *testing.T) {
	s := newMachine(t)
	args := strings.Fields(e.args)
	switch args[0] {
	case "secret":
		args = slices.Insert(args, 1, "--host", "localhost", "--port", "{engine}")
		s.Env = append(s.Env, "ARCADE_API_KEY="+testbed.EngineKey, "ARCADE_USAGE_TRACKING=0")
	case "usage": // not recorded
		s.Env = append(s.Env, testbed.Flusher)
	default:
		s.Env = append(s.Env, "ARCADE_USAGE_TRACKING=0")
	}
	cmd := s.Command(args...)
	cmd.Stdin = strings.NewReader(e.stdin)
	cmd.Env = append(cmd.Env, "OUTBOX_FLUSHER=") // it has an input, so it would be a flusher
	if e.given != nil {
		e.given(s, cmd)
	}
	for i := range cmd.Args {
		cmd.Args[i] = s.fill(cmd.Args[i])
	}
	r := s.Finish(cmd)
	want := s.fill(e.says + "\n" + e.hint + "\n")
	if isBug := strings.Contains(e.says, "a bug of its own"); r.Code != e.code || r.Stderr != want && !(isBug && strings.HasPrefix(r.Stderr, want)) {
		t.Errorf("exit code %d and on stderr\n%s\nwant %d and\n%s", r.Code, r.Stderr, e.code, want)
	}
	if strings.Contains(r.Stdout+r.Stderr, sentinel) {
		t.Errorf("what may be a secret is repeated: %q", r.Stdout+r.Stderr)
	}
	if got := s.Engine.Requests(); !e.arrives && len(got) != 0 {
		t.Errorf("the Engine got %v, want nothing: the error was there before", got)
	}
}

// fill puts the stage's home and ports, and what words cannot hold, into a text.
func (s *machine) fill(text string) string {
	return strings.NewReplacer("{home}", s.Home, "{cloud}", s.Cloud.Port(), "{engine}", s.EnginePort(),
		"{callback}", s.callbackPort(), "{today}", s.todaysPort(), "{blank}", " ", "{sentinel}", sentinel).Replace(text)
}

// callbackPort is the last one that was given.
func (s *machine) callbackPort() (port string) {
	for _, setting := range s.Env {
		if value, ok := strings.CutPrefix(setting, testbed.TestCallback+"="); ok {
			port = value
		}
	}
	return port
}

func (s *machine) todaysPort() string {
	if s.today == nil {
		return ""
	}
	return testbed.At(s.today)[3]
}

// A script's variable that is not set must not send a command elsewhere, or let it mean more.
func TestAnEmptyValueIsRefusedByEveryFlagThatTakesText(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	flags := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if flag.Value.Type() != "string" {
				return
			}
			flags++
			path := strings.Fields(cmd.CommandPath())[1:]
			want := "Error: --" + flag.Name + " needs a value.\n"
			if r := m.Run(append(path, "--"+flag.Name+"=")...); r.Code != 2 || !strings.HasPrefix(r.Stderr, want) {
				t.Errorf("arcade %s --%s=: %+v; want %q", strings.Join(path, " "), flag.Name, r, want)
			}
		})
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(cli.New("", "").Root())
	if flags < 10 {
		t.Errorf("only %d flags were found: the test does not see them", flags)
	}
}
