package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// TestScripts runs the scripts in testdata/script. Each has a machine of its own, whose browser logs in by itself, and
// finds in its environment, beside what the machine's commands get,
//
//	CLOUD_URL CLOUD_PORT                       Arcade Cloud, on localhost
//	ENGINE_URL ENGINE_PORT ENGINE_KEY          the Engine, on localhost, and the key it accepts, which is that of
//	                                           "cloud meet engineer"; it accepts what Cloud knows, too
//
// and, beside testscript's own commands, those of scriptCommands. A script that has a key and no credentials file switches tracking
// off: its flusher would ask the real Arcade Cloud. At the end PostHog must have seen nothing that a sender must never do.
func TestScripts(t *testing.T) {
	commands := scriptCommands()
	adapted := map[string]func(*testscript.TestScript, bool, []string){}
	for name := range commands {
		first, _, _ := strings.Cut(name, " ")
		adapted[first] = func(ts *testscript.TestScript, neg bool, args []string) {
			run := commands[first]
			if run == nil && len(args) > 0 {
				run, args = commands[first+" "+args[0]], args[1:]
			}
			if run == nil || neg {
				ts.Fatalf("there is no such command, or it cannot be negated")
			}
			run(stage{ts.Value(stageKey{}).(*machine), ts}, append(args, "", "")) // for those that are missing
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setTheStage,
		Cmds:                adapted,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// stage is a script's machine, and what its commands print to.
type stage struct {
	*machine
	*testscript.TestScript
}

// scriptCommands are what the scripts can do with the stage, by one or two words. What prints nothing leaves an empty stdout.
func scriptCommands() map[string]func(s stage, args []string) {
	return map[string]func(s stage, args []string){
		// CODE PROGRAM [ARG...]: run a program that has to end with this exit code
		"exits":         stage.exits,
		"settle":        func(s stage, _ []string) { s.AwaitNoFlusher() },
		"login expired": func(s stage, _ []string) { s.expire() },
		"login spoiled": func(s stage, _ []string) { s.spoilRefreshToken() },
		// MODE [NAME=VALUE...], see secretstest.Fault
		"engine fault": stage.engineFault,
		// FILE: answer a list with it, whatever is stored
		"engine answer":  func(s stage, args []string) { s.Engine.Answer(s.TestScript.ReadFile(args[0])) },
		"engine secrets": stage.secrets,
		"engine requests": func(s stage, _ []string) {
			out := s.Stdout()
			for _, request := range s.Engine.Requests() {
				fmt.Fprintln(out, request.Method, request.Path)
			}
		},
		"posthog offline": func(s stage, _ []string) { s.Offline() },
		"posthog online":  func(s stage, _ []string) { s.Online() },
		"posthog refuse":  func(s stage, _ []string) { s.answerEach("drop:rejected") },
		"posthog accept":  func(s stage, _ []string) { s.answerEach("") },
		"posthog events":  stage.events,
		"posthog story":   stage.story,
		// [N]: what has arrived, or the Nth message alone and indented
		"posthog wire":      stage.wire,
		"cloud meet":        func(s stage, args []string) { s.meet(args[0]) },
		"cloud credentials": func(s stage, args []string) { s.WriteCredentials(args[0]) },
		// PATH: how often it was asked
		"cloud count": func(s stage, args []string) { fmt.Fprintln(s.Stdout(), s.Cloud.Count(args[0])) },
		// PATH STATUS: answer with it; 0 ends that
		"cloud fail": stage.fail,
		// calls, whoami, or the JSON of a refused code: where Arcade Cloud asks for one; "" ends that
		"cloud passkey": stage.passkey,
		// [without-cloud]: set ONPREM to the address of one in which Ada has an account, or which knows keys only
		"installation": func(s stage, args []string) {
			cloud := s.onprem()
			cloud.Set(func(b *identitytest.Behaviour) { b.NoCoordinator = args[0] == "without-cloud" })
			s.Setenv("ONPREM", cloud.URL)
		},
	}
}

// stageKey is where a script's commands find its machine.
type stageKey struct{}

func setTheStage(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("scripts need a testing.TB")
	}
	m := newMachine(t)
	m.Engine.Trust(m.Cloud.Knows)
	env.Values[stageKey{}] = m
	env.Defer(m.NoViolations)
	path := env.Getenv("PATH") // with the program
	env.Vars = append(env.Vars, m.Environment()...)
	env.Vars = append(env.Vars, "PATH="+path, "USERPROFILE="+m.Home,
		"CLOUD_URL="+m.Cloud.URL, "CLOUD_PORT="+testbed.PortOf(m.Cloud.URL),
		"ENGINE_URL="+m.Engine.URL, "ENGINE_PORT="+testbed.PortOf(m.Engine.URL), "ENGINE_KEY="+testbed.EngineKey)
	return nil
}

func (s stage) exits(args []string) {
	code := 0
	args = args[:len(args)-2]
	if err := s.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			s.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		s.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func (s stage) secrets([]string) {
	items, out := s.Engine.Items(), s.Stdout()
	slices.SortFunc(items, func(a, b secretstest.Item) int { return strings.Compare(a.Key, b.Key) })
	for _, item := range items {
		fmt.Fprintf(out, "%s=%q\n", item.Key, item.Value)
	}
}

// engineFault reads a mode and the fields of a fault, such as "status status=403 method=DELETE".
func (s *machine) engineFault(words []string) {
	fields := map[string]any{"mode": words[0]}
	for _, word := range words[1:] {
		if name, value, found := strings.Cut(word, "="); found {
			fields[name] = value
			if name == "status" || name == "times" {
				fields[name] = json.Number(value)
			}
		}
	}
	encoded, err := json.Marshal(fields)
	s.Require(err)
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.DisallowUnknownFields()
	var fault secretstest.Fault
	s.Require(decoder.Decode(&fault))
	s.Engine.Inject(fault)
}

// events are printed with command and error message.
func (s stage) events([]string) {
	out := s.Stdout()
	for _, e := range s.Posthog.Events() {
		line := fmt.Sprint(e.Event, " ", commandOf(e))
		if message := e.Properties()["error_message"]; message != nil {
			line += fmt.Sprint(" ", message)
		}
		fmt.Fprintln(out, line)
	}
}

// story tells whose each message is, what it tells of, and where that person works.
func (s stage) story([]string) {
	out := s.Stdout()
	numbers := map[string]int{}
	anonymous := func(id string) string {
		if numbers[id] == 0 {
			numbers[id] = len(numbers) + 1
		}
		return fmt.Sprintf("anonymous-%d", numbers[id])
	}
	for _, e := range s.Posthog.Commits() {
		p, who := e.Properties(), e.DistinctID
		line := commandOf(e)
		if e.IsAlias() {
			line = "alias of " + anonymous(e.Alias)
		}
		if p["$process_person_profile"] == false {
			who = anonymous(who)
		}
		if p["org_id"] != nil {
			line += fmt.Sprintf(" in %s %s", p["org_id"], p["project_id"])
		}
		fmt.Fprintf(out, "%s: %s\n", who, line)
	}
}

func (s stage) wire(args []string) {
	out := s.Stdout()
	for i, c := range s.Posthog.Commits() {
		switch args[0] {
		case "":
			fmt.Fprintf(out, "%s\n", c.Raw)
		case strconv.Itoa(i + 1):
			var indented bytes.Buffer
			s.Check(json.Indent(&indented, c.Raw, "", "  "))
			fmt.Fprintln(out, indented.String())
		}
	}
}

func (s stage) fail(args []string) {
	status, err := strconv.Atoi(args[1])
	s.Check(err)
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	if status == 0 {
		answer = nil
	}
	s.Cloud.Override(args[0], answer)
}

func (s stage) passkey(args []string) {
	s.Cloud.Set(func(b *identitytest.Behaviour) {
		b.Insufficient, b.MFA, b.CodeRefusal = args[0] == "calls", "met", nil
		switch args[0] {
		case "calls", "":
		case "whoami":
			b.MFA = "unmet"
		default:
			s.Check(json.Unmarshal([]byte(args[0]), &b.CodeRefusal))
		}
	})
}
