package detach

import (
	"context"
	"encoding/gob"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The test binary is also the program that is started, told by its markers what it does.
const (
	marker      = "DETACH_TEST_CHILD" // reports to the test what it has, and lives as long as the test listens
	dyingMarker = "DETACH_TEST_DYING" // ends at once
	deafMarker  = "DETACH_TEST_DEAF"  // never reads its environment

	reportTo = "DETACH_TEST_REPORT_TO" // the address that a child reports to
	command  = "DETACH_TEST_COMMAND"   // set in a process that starts a child and ends
	guarded  = "DETACH_TEST_GUARDED"   // set in one that works for ever, with a watchdog
)

// busy is what a process that never ends works on.
var busy atomic.Int64

func TestMain(m *testing.M) {
	born := os.Environ()
	is, err := Child(marker)
	switch {
	case is:
		report(born, err)
	case os.Getenv(dyingMarker) != "":
	case os.Getenv(deafMarker) != "":
		select {}
	case os.Getenv(guarded) != "":
		Watchdog(100 * time.Millisecond)
		for { // work that looks at nothing
			busy.Add(1)
		}
	case os.Getenv(command) != "":
		must(Start(marker, []string{reportTo + "=" + os.Getenv(reportTo)}))
		os.Stdout.WriteString("done\n")
	default:
		os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector keeps a process for a second otherwise
		os.Exit(m.Run())
	}
}

// must ends a process that a test has started, and check a test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// long is how long a test waits for another process at most: a busy machine takes its time.
const long = 2 * time.Minute

// life is what a child says of itself.
type life struct {
	Args, Born, Environ []string // Born is its environment before Child was called, which other users may read
	Dir                 string
	PID                 int
	Console             bool // it has a terminal or console, and ends with it

	connection net.Conn // the process lives until the test closes this
}

// report tells the test what this process is, and waits until it hangs up.
func report(born []string, err error) {
	must(err)
	connection, err := net.Dial("tcp", os.Getenv(reportTo))
	must(err)
	dir, err := os.Getwd()
	must(err)
	mine := life{Args: os.Args, Born: born, Environ: os.Environ(), Dir: dir, PID: os.Getpid(), Console: hasConsole()}
	must(gob.NewEncoder(connection).Encode(mine))
	io.Copy(io.Discard, connection)
}

func hasConsole() bool {
	name := "/dev/tty"
	if runtime.GOOS == "windows" {
		name = "CONOUT$"
	}
	console, err := os.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		console.Close()
	}
	return err == nil
}

// listener is where children report to.
type listener struct {
	testing.TB
	*net.TCPListener
}

func newListener(t testing.TB) listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return listener{t, l.(*net.TCPListener)}
}

// environment is what a child needs, and what keeps the race detector from sleeping a second at its end.
func (l listener) environment() []string {
	return []string{reportTo + "=" + l.Addr().String(), "GORACE=atexit_sleep_ms=0"}
}

// child waits for a report.
func (l listener) child() (child life) {
	l.Helper()
	l.SetDeadline(time.Now().Add(long))
	connection, err := l.Accept()
	if err != nil {
		l.Fatalf("no child reports: %v", err)
	}
	l.Cleanup(func() { connection.Close() })
	check(l, gob.NewDecoder(connection).Decode(&child))
	child.connection = connection
	return child
}

// again prepares another process of this program. One that waits for a child by mistake waits for the end of the
// test: not for ever, then.
func again(t testing.TB, environment ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self)
	cmd.WaitDelay = long
	cmd.Env = append(os.Environ(), environment...)
	return cmd
}

// parent prepares a process that starts a child.
func (l listener) parent() *exec.Cmd { return again(l, append(l.environment(), command+"=1")...) }

func TestAChildHasItsEnvironmentAndNothingElse(t *testing.T) {
	t.Setenv("DETACH_TEST_PRIVATE", "of the parent")
	l := newListener(t)
	large := "LARGE=" + strings.Repeat("x", 1<<20)
	given := []string{"EMPTY=", "EQUALS=a=b", "LINES=one\ntwo", "BYTES=\xff", "TWICE=2", "HOME=/home/ada", large, "LAST=arrived"}
	check(t, start(marker, slices.Concat(l.environment(), []string{"TWICE=1"}, given), nil, long))
	child := l.child()
	for _, entry := range given {
		if !slices.Contains(child.Environ, entry) {
			t.Errorf("the child has no %.20q", entry)
		}
		if isOrdinary := strings.HasPrefix(entry, "HOME="); slices.Contains(child.Born, entry) != isOrdinary {
			t.Errorf("the child was born with %q: package initialisation needs its home, and every user of the machine sees the rest",
				child.Born)
		}
	}
	all := strings.Join(child.Environ, "\n")
	for _, foreign := range []string{"PRIVATE", "PATH=", marker} {
		if strings.Contains(all, foreign) {
			t.Errorf("the child has %s, which it was not given; with its marker, what it starts would take itself for a child", foreign)
		}
	}
	if want := []string{filepath.Base(os.Args[0])}; !slices.Equal(child.Args, want) {
		t.Errorf("the child's arguments are %q, want the program's name: %q", child.Args, want)
	}
	if child.Dir != neutralDirectory() {
		t.Errorf("the child works in %q and keeps that busy, want %q", child.Dir, neutralDirectory())
	}
	if child.Console { // whose processes the system ends when its window is closed
		t.Error("the child has the console of its parent, or one of its own")
	}
}

func TestAChildThatDoesNotReadItsEnvironmentIsAnErrorAndNoWait(t *testing.T) {
	environment := []string{"LARGE=" + strings.Repeat("x", 1<<20)}
	if err := start(dyingMarker, environment, nil, long); err == nil || strings.Contains(err.Error(), "does not read") {
		t.Errorf("a child that has died: %v, want an error at once: the reader is gone", err)
	}
	ended := make(chan struct{})
	if err := start(deafMarker, environment, ended, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("a child that hangs: %v, want that it does not read", err)
	}
	select {
	case <-ended:
	case <-time.After(long):
		t.Error("its output does not end: the child was left running")
	}
}

func TestAVariableThatCannotBeHandedOverIsAnErrorBeforeAnythingIsStarted(t *testing.T) {
	for _, entry := range []string{"", "NAME", "=value", "NUL=a\x00b", marker + "=0"} {
		if err := Start(marker, []string{entry}); err == nil {
			t.Errorf("%q was handed over", entry)
		}
	}
}

func TestAWatchdogEndsTheProcessWhateverItDoes(t *testing.T) {
	cmd := again(t, guarded+"=1")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the process ends with %v, want exit code 1", err)
	}
}

func TestOnlyAProcessWithAPipeAndTheMarkerIsAChild(t *testing.T) {
	file, err := os.Open(os.DevNull)
	check(t, err)
	defer file.Close()
	for _, value := range []string{"", "1"} { // set by a person
		t.Setenv(marker, value)
		if is, err := child(marker, file, time.Minute); is || err != nil {
			t.Errorf("with the marker %q: %v, %v; want no child, it would wait for input", value, is, err)
		}
	}
}

func TestAChildWithHalfAnEnvironmentHasAnError(t *testing.T) {
	for name, content := range map[string]string{
		"nothing":                         "",
		"the parent was killed meanwhile": `{"A":"MQ=="`,
		"written by another program":      "hello",
		"the parent is stopped":           `{"A":"MQ=="`,
	} {
		t.Setenv(marker, "1")
		reader, writer := pipe(t)
		io.WriteString(writer, content)
		patience := 10 * time.Millisecond
		if name != "the parent is stopped" {
			patience = time.Minute
			writer.Close()
		}
		if is, err := child(marker, reader, patience); !is || err == nil {
			t.Errorf("%s: %v, %v; want an error: half an environment leads to the wrong place", name, is, err)
		}
	}
}

func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	check(t, err)
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

func TestPathsAreAbsoluteBeforeTheyAreHandedOver(t *testing.T) {
	t.Chdir(t.TempDir())
	directory, err := os.Getwd()
	check(t, err)
	list := func(parts ...string) string { return strings.Join(parts, string(filepath.ListSeparator)) }
	at := func(name string) string { return filepath.Join(directory, name) }
	for _, test := range []struct{ name, value, want string }{
		{"HOME", "home", at("home")},
		{"USERPROFILE", "..", filepath.Dir(directory)},
		{"SSL_CERT_FILE", "./certs/ca.pem", at("certs/ca.pem")},
		{"SSL_CERT_DIR", list("a", at("b"), "", "c"), list(at("a"), at("b"), "", at("c"))},
		{"PATH", list("bin", at("b")), list(at("bin"), at("b"))},
		{"XDG_CONFIG_HOME", "config", at("config")},
		{"XDG_RUNTIME_DIR", "run", at("run")},
		{"XDG_DATA_DIRS", list("a", "b"), list(at("a"), at("b"))},
		{"XDG_SESSION_TYPE", "wayland", "wayland"},
		{"HELLO_HOME", "data", at("data")},
		{"HELLO_HOME", at("data"), at("data")},
		{"HELLO_HOME", "", ""},
		{"HELLO_HOME", "~/data", "~/data"},
		{"NO_PROXY", "localhost", "localhost"},
	} {
		resolved, err := Resolve([]string{test.name + "=" + test.value}, "HELLO_HOME", "HELLO_UNSET")
		if want := []string{test.name + "=" + test.want}; err != nil || !slices.Equal(resolved, want) {
			t.Errorf("%s=%s becomes %q (%v), want %q", test.name, test.value, resolved, err, want)
		}
	}
}

func TestACommandEndsBeforeItsChild(t *testing.T) {
	l := newListener(t)
	// The output has an end while the child lives: no process holds it any more.
	if output, err := l.parent().CombinedOutput(); err != nil || string(output) != "done\n" {
		t.Errorf("output %q, %v; want both to end with the command", output, err)
	}
	l.child()
}

func TestAProcessThatWaitsForItsChildHearsOfItsEnd(t *testing.T) {
	l := newListener(t)
	heard, err := StartHeard(marker, l.environment())
	check(t, errors.Join(err, Check()))
	child := l.child()
	select {
	case <-heard:
		t.Error("it hears of the end of a child that lives: this process's own end would kill it")
	default:
	}
	child.connection.Close() // which ends it
	select {
	case <-heard:
	case <-time.After(long):
		t.Error("it hears nothing of a child that has ended, and waits in vain")
	}
	for _, wrong := range []string{"no variable", marker + "=1"} { // with the marker, what the child starts would take itself for one
		if _, err := StartHeard(marker, []string{wrong}); err == nil {
			t.Errorf("%q is handed over, want an error", wrong)
		}
	}
}
