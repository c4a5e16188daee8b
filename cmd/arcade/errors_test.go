package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Each error says on the first line what happened and why, and on the second one what to do.
func TestEveryErrorSaysWhatHappenedAndWhatToDo(t *testing.T) {
	for _, e := range encounters() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			e.happen(t)
		})
	}
}

// A stack trace says in which functions, and nothing of their arguments.
func TestABugNamesItsFunctions(t *testing.T) {
	const stack = "goroutine 1 [running]:\nmain.(*app).execute.func1()\n\t/src/app.go:99 +0x33\npanic({0xcff0e0?, 0xe394d0?})\n" +
		"main.run({0xc0000, 0x1}, 0x5)\n\t/src/app.go:12\n"
	if got, want := frames([]byte(stack)), "main.(*app).execute.func1\n\t/src/app.go:99 +0x33\nmain.run\n\t/src/app.go:12"; got != want {
		t.Errorf("the frames are\n%s\nwant\n%s", got, want)
	}
}

// Status is for those who look for an error, so it shows one instead of failing.
func TestStatusShowsWhatIsWrongWithTheDatabase(t *testing.T) {
	s := newStage(t)
	file(".arcade/usage.db", strings.Repeat("no database ", 100))(s, nil)
	want := "Database:      the usage database cannot be used: file is not a database (26)\nNext:          " + databased + "\n"
	if r := s.must("usage", "status"); !strings.HasPrefix(r.stdout, want) {
		t.Errorf("status says\n%s\nwant\n%s", r.stdout, want)
	}
	if st := s.status(); st.DatabaseError == nil || !strings.Contains(*st.DatabaseError, "not a database") {
		t.Errorf("as JSON it says %v", st.DatabaseError)
	}
}

func (e encounter) happen(t *testing.T) {
	s := newStage(t)
	s.env = append(s.env, fmt.Sprintf("%s=%d", testCallback, freePort(t)))
	args := strings.Fields(e.args)
	switch args[0] {
	case "secret":
		args = slices.Insert(args, 1, "--host", "localhost", "--port", "{engine}")
		s.env = append(s.env, "ARCADE_API_KEY="+engineKey, "ARCADE_USAGE_TRACKING=0")
	case "usage": // not recorded
	default:
		s.env = append(s.env, "ARCADE_USAGE_TRACKING=0")
	}
	cmd := s.command(args...)
	cmd.Stdin = strings.NewReader(e.stdin)
	if e.given != nil {
		e.given(s, cmd)
	}
	for i := range cmd.Args {
		cmd.Args[i] = s.fill(cmd.Args[i])
	}
	r := s.finishOnto(cmd)
	want := s.fill(e.says + "\n" + e.hint + "\n")
	if isBug := strings.Contains(e.says, "a bug of its own"); r.code != e.code || r.stderr != want && !(isBug && strings.HasPrefix(r.stderr, want)) {
		t.Errorf("exit code %d and on stderr\n%s\nwant %d and\n%s", r.code, r.stderr, e.code, want)
	}
	if strings.Contains(r.stdout+r.stderr, sentinel) {
		t.Errorf("what may be a secret is repeated: %q", r.stdout+r.stderr)
	}
	if got := s.engine.Requests(); !e.arrives && len(got) != 0 {
		t.Errorf("the Engine got %v, want nothing: the error was there before", got)
	}
}

// fill puts the stage's home and ports, and what words cannot hold, into a text.
func (s *stage) fill(text string) string {
	return strings.NewReplacer("{home}", s.home, "{cloud}", s.cloud.port(), "{engine}", s.enginePort(),
		"{blank}", " ", "{sentinel}", sentinel).Replace(text)
}

// finishOnto is finish for a command whose standard output may be set already.
func (s *stage) finishOnto(cmd *exec.Cmd) result {
	s.Helper()
	if cmd.Stdout == nil {
		return s.finish(cmd)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.Run()
	return result{stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}
