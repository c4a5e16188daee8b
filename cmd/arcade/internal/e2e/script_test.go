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
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// TestScripts runs the scripts in testdata/script. Each has a machine of its own, whose browser logs in by itself, and
// finds in its environment, beside what the machine's commands get,
//
//	CLOUD_URL CLOUD_PORT                       Arcade Cloud, on localhost
//	ENGINE_URL ENGINE_PORT ENGINE_KEY          the Engine, on localhost, and the key it accepts, which is that of
//	                                           "cloud meet engineer"; it accepts what Cloud knows, too
//
// and, beside testscript's own commands, those of scriptCommands; one that finds nothing to print leaves an empty stdout. A
// script that has a key and no credentials file switches tracking off: its flusher would ask the real Arcade Cloud. At the end
// PostHog must have seen nothing that a sender must never do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setTheStage,
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// stage is a script's machine, and what its commands print to.
type stage struct {
	*machine
	*testscript.TestScript
}

// scriptCommands are what the scripts can do with the stage.
//
//	exits CODE PROGRAM [ARG...]     run a program that has to end with this exit code
//	engine fault MODE [NAME=VALUE...]   go wrong, see secretstest.Fault
//	engine answer FILE              answer a list with the file, whatever is stored
//	engine secrets                  print what is stored by key, "KEY=value" with Go's quotes
//	engine requests                 print what has arrived, "METHOD path"
//	posthog offline, posthog online stop and start to listen
//	posthog refuse, posthog accept  refuse each message for good, and no longer
//	posthog events                  print them: event, command and error message
//	posthog story                   print whose each message is, what it tells of, and where that person works
//	posthog wire [N]                print what has arrived, or the Nth message alone and indented
//	cloud meet NAME                 put a person in front of the browser; their key is arc_NAME
//	cloud credentials KEY           write credentials.yaml with an API key
//	cloud fail PATH STATUS          answer a path with a status; 0 ends that
//	cloud count PATH                print how often a path was asked
//	cloud passkey WHERE             ask for one: calls, whoami, or the JSON of a refused code; "" ends that
//	login expired, login spoiled    make the token of the login one that has ended, its refresh token one that never was
//	installation [without-cloud]    set ONPREM to the address of one in which Ada has an account, or which knows keys only
//	settle                          wait until no flusher is at work
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	commands := map[string]func(stage, []string) error{
		"exits": stage.exits, "engine": stage.engine, "posthog": stage.posthog, "cloud": stage.cloud, "login": stage.login,
		"installation": stage.installation, "settle": stage.settle,
	}
	adapted := make(map[string]func(*testscript.TestScript, bool, []string), len(commands))
	for name, run := range commands {
		adapted[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			args = append(args, "", "", "") // for those that are missing
			if err := run(stage{ts.Value(stageKey{}).(*machine), ts}, args); err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return adapted
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

func (s stage) exits(args []string) error {
	code := 0
	args = args[:len(args)-3]
	if err := s.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return err
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		return fmt.Errorf("exit code %d, want %s", code, args[0])
	}
	return nil
}

func (s stage) engine(args []string) error {
	switch args[0] {
	case "fault":
		fault, err := engineFault(args[1:])
		s.Engine.Inject(fault)
		return err
	case "answer":
		s.Engine.Answer(s.TestScript.ReadFile(args[1]))
	case "secrets":
		items, out := s.Engine.Items(), s.Stdout()
		slices.SortFunc(items, func(a, b secretstest.Item) int { return strings.Compare(a.Key, b.Key) })
		for _, item := range items {
			fmt.Fprintf(out, "%s=%q\n", item.Key, item.Value)
		}
	case "requests":
		out := s.Stdout()
		for _, request := range s.Engine.Requests() {
			fmt.Fprintln(out, request.Method, request.Path)
		}
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

// engineFault reads a mode and the fields of a fault, such as "status status=403 method=DELETE".
func engineFault(words []string) (fault secretstest.Fault, err error) {
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
	if err == nil {
		decoder := json.NewDecoder(strings.NewReader(string(encoded)))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&fault)
	}
	return fault, err
}

func (s stage) posthog(args []string) error {
	switch args[0] {
	case "offline":
		s.Offline()
	case "online":
		s.Online()
	case "refuse":
		s.Posthog.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
	case "accept":
		s.Posthog.SetResults(func(outboxtest.Message) string { return "" })
	case "story":
		s.story()
	case "wire":
		return s.wire(args[1])
	case "events":
		out := s.Stdout()
		for _, e := range s.Posthog.Events() {
			line := fmt.Sprint(e.Event, " ", commandOf(e))
			if message := e.Properties()["error_message"]; message != nil {
				line += fmt.Sprint(" ", message)
			}
			fmt.Fprintln(out, line)
		}
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func (s stage) story() {
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

func (s stage) wire(number string) error {
	out := s.Stdout()
	for i, c := range s.Posthog.Commits() {
		switch number {
		case "":
			fmt.Fprintf(out, "%s\n", c.Raw)
		case strconv.Itoa(i + 1):
			var indented bytes.Buffer
			err := json.Indent(&indented, c.Raw, "", "  ")
			fmt.Fprintln(out, indented.String())
			return err
		}
	}
	return nil
}

func (s stage) cloud(args []string) error {
	switch args[0] {
	case "meet":
		s.meet(args[1])
	case "credentials":
		s.WriteCredentials(args[1])
	case "fail":
		status, err := strconv.Atoi(args[2])
		answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
		if status == 0 {
			answer = nil
		}
		s.Cloud.Override(args[1], answer)
		return err
	case "count":
		fmt.Fprintln(s.Stdout(), s.Cloud.Count(args[1]))
	case "passkey":
		return s.passkey(args[1])
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func (s stage) passkey(where string) (err error) {
	s.Cloud.Set(func(b *identitytest.Behaviour) {
		b.Insufficient, b.MFA, b.CodeRefusal = where == "calls", "met", nil
		switch where {
		case "calls", "":
		case "whoami":
			b.MFA = "unmet"
		default:
			err = json.Unmarshal([]byte(where), &b.CodeRefusal)
		}
	})
	return err
}

func (s stage) login(args []string) error {
	switch args[0] {
	case "expired":
		s.expire()
	case "spoiled":
		s.spoilRefreshToken()
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func (s stage) installation(args []string) error {
	cloud := s.onprem()
	cloud.Set(func(b *identitytest.Behaviour) {
		b.NoCoordinator = args[0] == "without-cloud"
	})
	s.Setenv("ONPREM", cloud.URL)
	return nil
}

func (s stage) settle([]string) error {
	s.AwaitNoFlusher()
	return nil
}
