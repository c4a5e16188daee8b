package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// TestScripts runs the scripts in testdata/script. Each has a machine of its own, with a
// PostHog, an Arcade Cloud and an Engine, and finds in its environment
//
//	HOME USERPROFILE                           a home without files
//	ARCADE_USAGE_HOST ARCADE_USAGE_KEY         PostHog
//	CLOUD_PORT                                 Arcade Cloud, on localhost
//	ENGINE_PORT ENGINE_KEY                     the Engine, on localhost, and the key it accepts,
//	                                           which is that of "cloud meet engineer"
//
// and, beside testscript's own commands, those of scriptCommands. A script that has a key and
// no credentials file switches tracking off: its flusher would ask the real Arcade Cloud.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setTheStage,
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// scriptCommands are what the scripts can do with the stage.
//
//	exits CODE PROGRAM [ARG...]     run a program that has to end with this exit code
//	engine fault MODE [NAME=VALUE...]   go wrong, see secretstest.Fault; method=, key=, times=, status=
//	engine answer FILE              answer a list with the file, whatever is stored
//	engine secrets                  print what is stored by key, "KEY=value" with Go's quotes
//	engine requests                 print what has arrived, "METHOD path"
//	posthog offline, posthog online stop and start to listen
//	posthog await N                 wait until N events have been kept
//	posthog events                  print them: event, command and error message
//	cloud meet NAME                 put a person in front of the browser; their key is arc_NAME
//	cloud credentials KEY           write credentials.yaml with an API key
//	settle                          wait until no flusher is at work
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	commands := map[string]func(*machine, *testscript.TestScript, []string) error{
		"exits": (*machine).exits, "engine": (*machine).engineCommand, "posthog": (*machine).posthogCommand,
		"cloud": (*machine).cloudCommand, "settle": (*machine).settle,
	}
	adapted := make(map[string]func(*testscript.TestScript, bool, []string), len(commands))
	for name, run := range commands {
		adapted[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			if err := run(ts.Value(stageKey{}).(*machine), ts, args); err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return adapted
}

// stageKey is where a script's commands find its stage.
type stageKey struct{}

func setTheStage(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("scripts need a testing.TB")
	}
	s := newMachine(t)
	env.Values[stageKey{}] = s
	env.Vars = append(env.Vars,
		"HOME="+s.Home, "USERPROFILE="+s.Home, "GORACE=atexit_sleep_ms=0", testbed.TestMachine+"="+s.Home,
		"ARCADE_USAGE_HOST="+s.PosthogAt, "ARCADE_USAGE_KEY=phc_test",
		"CLOUD_PORT="+s.Cloud.Port(), "ENGINE_PORT="+s.EnginePort(), "ENGINE_KEY="+testbed.EngineKey)
	return nil
}

func (s *machine) exits(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: exits CODE PROGRAM [ARG...]")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
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

// word returns a command's argument, "" if it is missing.
func word(args []string, at int) string {
	if at < len(args) {
		return args[at]
	}
	return ""
}

func (s *machine) engineCommand(ts *testscript.TestScript, args []string) error {
	switch word(args, 0) {
	case "fault":
		fault, err := engineFault(args[1:])
		if err == nil {
			s.Engine.Inject(fault)
		}
		return err
	case "answer":
		s.Engine.Answer(ts.ReadFile(word(args, 1)))
	case "secrets":
		items := s.Engine.Items()
		slices.SortFunc(items, func(a, b secretstest.Item) int { return strings.Compare(a.Key, b.Key) })
		for _, item := range items {
			fmt.Fprintf(ts.Stdout(), "%s=%q\n", item.Key, item.Value)
		}
	case "requests":
		for _, request := range s.Engine.Requests() {
			fmt.Fprintln(ts.Stdout(), request.Method, request.Path)
		}
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func engineFault(args []string) (f secretstest.Fault, err error) {
	modes := []secretstest.Mode{secretstest.Status, secretstest.Reset, secretstest.NotHTTP, secretstest.Page}
	if f.Mode = secretstest.Mode(word(args, 0)); !slices.Contains(modes, f.Mode) {
		return f, fmt.Errorf("unknown mode %q", f.Mode)
	}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "method":
			f.Method = value
		case "key":
			f.Key = value
		case "times":
			f.Times, err = strconv.Atoi(value)
		case "status":
			f.Status, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("unknown: %q", arg)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func (s *machine) posthogCommand(ts *testscript.TestScript, args []string) error {
	switch word(args, 0) {
	case "offline":
		s.Offline()
	case "online":
		s.Online()
	case "await":
		n, err := strconv.Atoi(word(args, 1))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return s.Posthog.AwaitEvents(ctx, n)
	case "events":
		for _, e := range s.Posthog.Events() {
			line := fmt.Sprint(e.Event, " ", e.Properties()["command_name"])
			if message := e.Properties()["error_message"]; message != nil {
				line += fmt.Sprint(" ", message)
			}
			fmt.Fprintln(ts.Stdout(), line)
		}
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func (s *machine) cloudCommand(_ *testscript.TestScript, args []string) error {
	switch word(args, 0) {
	case "meet":
		s.Cloud.Meet(word(args, 1))
	case "credentials":
		s.WriteCredentials(word(args, 1))
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func (s *machine) settle(*testscript.TestScript, []string) error {
	s.AwaitNoFlusher()
	return nil
}
