package detach

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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
	lazyMarker  = "DETACH_TEST_LAZY"  // works for ever, with a watchdog

	reportTo = "DETACH_TEST_REPORT_TO" // the address that a child reports to
	command  = "DETACH_TEST_COMMAND"   // set in a process that is to start a child
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(dyingMarker) != "":
	case os.Getenv(deafMarker) != "":
		select {}
	case os.Getenv(command) != "":
		os.Exit(runCommand())
	default:
		runChild()
		os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector keeps a process for a second otherwise
		os.Exit(m.Run())
	}
}

// report is what a child says of itself.
type report struct {
	Args    []string
	Environ [][]byte // not all of it is text
	Dir     string
	PID     int
	Home    string // before Child was called
	Console bool   // it has a terminal or console, and ends with it
}

// busy is what a child that never ends works on.
var busy atomic.Int64

// runChild returns in a process that is no child.
func runChild() {
	if lazy, err := Child(lazyMarker); err != nil {
		panic(err)
	} else if lazy {
		Watchdog(100 * time.Millisecond)
		tell("")
		for n := 0; ; n++ { // work that looks at nothing
			busy.Store(int64(n))
		}
	}
	home := os.Getenv("HOME")
	is, err := Child(marker)
	if err != nil {
		panic(err)
	}
	if is {
		tell(home)
		os.Exit(0)
	}
}

// tell reports to the test, and waits until it hangs up.
func tell(home string) {
	connection, err := net.Dial("tcp", os.Getenv(reportTo))
	if err != nil {
		panic(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	r := report{Args: os.Args, Dir: dir, PID: os.Getpid(), Home: home, Console: hasConsole()}
	for _, entry := range os.Environ() {
		r.Environ = append(r.Environ, []byte(entry))
	}
	if err := json.NewEncoder(connection).Encode(r); err != nil {
		panic(err)
	}
	if os.Getenv(lazyMarker) == "" {
		io.Copy(io.Discard, connection)
	}
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

// runCommand is a command that starts a child and returns to its prompt.
func runCommand() (code int) {
	err := Start(marker, []string{reportTo + "=" + os.Getenv(reportTo)})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString("done\n")
	return 0
}

// listener is where children report to.
type listener struct {
	testing.TB
	net.Listener
}

func newListener(t testing.TB) listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return listener{t, l}
}

// environment is what a child needs, and what keeps the race detector from sleeping a second at its end.
func (l listener) environment() []string {
	return []string{reportTo + "=" + l.Addr().String(), "GORACE=atexit_sleep_ms=0"}
}

// child waits for a report. Its process lives until the connection is closed.
func (l listener) child() (report, net.Conn) {
	l.Helper()
	l.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	connection, err := l.Accept()
	if err != nil {
		l.Fatalf("no child reports: %v", err)
	}
	l.Cleanup(func() { connection.Close() })
	var r report
	if err := json.NewDecoder(connection).Decode(&r); err != nil {
		l.Fatal(err)
	}
	return r, connection
}

// parent prepares a process that starts a child.
func (l listener) parent() *exec.Cmd {
	l.Helper()
	self, err := os.Executable()
	if err != nil {
		l.Fatal(err)
	}
	// A parent that waits for the child by mistake waits for the end of the test: not for ever, then.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	l.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), append(l.environment(), command+"=1")...)
	return cmd
}

func (l listener) start(environment ...string) {
	l.Helper()
	if err := Start(marker, append(l.environment(), environment...)); err != nil {
		l.Fatal(err)
	}
}

func TestAChildHasItsEnvironmentAndNothingElse(t *testing.T) {
	t.Setenv("DETACH_TEST_PRIVATE", "of the parent")
	l := newListener(t)
	large := "LARGE=" + strings.Repeat("x", 1<<20)
	l.start("EMPTY=", "EQUALS=a=b", "LINES=one\ntwo", "BYTES=\xff", "TWICE=1", "TWICE=2", "HOME=/home/ada", large, "LAST=arrived")
	child, _ := l.child()
	for _, want := range []string{"EMPTY=", "EQUALS=a=b", "LINES=one\ntwo", "BYTES=\xff", "TWICE=2", "HOME=/home/ada", large, "LAST=arrived"} {
		if !slices.ContainsFunc(child.Environ, func(entry []byte) bool { return string(entry) == want }) {
			t.Errorf("the child has no %.20q", want)
		}
	}
	all := string(bytes.Join(child.Environ, nil))
	for _, foreign := range []string{"PRIVATE", "PATH=", marker} {
		if strings.Contains(all, foreign) {
			t.Errorf("the child has %s, which it was not given; with its marker, a program that it starts would take itself for a child", foreign)
		}
	}
	if child.Home != "/home/ada" {
		t.Errorf("HOME is %q before Child is called: package initialisation would make a home elsewhere", child.Home)
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
	if err := start(dyingMarker, environment, nil, 20*time.Second); err == nil || strings.Contains(err.Error(), "does not read") {
		t.Errorf("a child that has died: %v, want an error at once: the reader is gone", err)
	}
	if err := start(deafMarker, environment, nil, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("a child that hangs: %v, want that it does not read", err)
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
	l := newListener(t)
	if err := Start(lazyMarker, l.environment()); err != nil {
		t.Fatal(err)
	}
	_, connection := l.child()
	connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := connection.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the process works for ever")
	}
}

func TestOnlyAProcessWithAPipeAndTheMarkerIsAChild(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, value := range []string{"", "1"} { // set by a person
		t.Setenv(marker, value)
		if is, err := child(marker, file, time.Minute); is || err != nil {
			t.Errorf("with the marker %q: %v, %v; want no child, it would wait for input", value, is, err)
		}
	}
}

func TestAChildWithHalfAnEnvironmentHasAnError(t *testing.T) {
	for name, test := range map[string]struct {
		content  string
		patience time.Duration
	}{
		"nothing":                         {"", time.Minute},
		"the parent was killed meanwhile": {"A=1\x00B=", time.Minute},
		"between two variables":           {"A=1\x00", time.Minute},
		"written by another program":      {"hello" + end, time.Minute},
		"the parent is stopped":           {"A=1", 10 * time.Millisecond},
	} {
		t.Setenv(marker, "1")
		reader, writer := pipe(t)
		io.WriteString(writer, test.content)
		if test.patience == time.Minute {
			writer.Close()
		}
		if is, err := child(marker, reader, test.patience); !is || err == nil {
			t.Errorf("%s: %v, %v; want an error: half an environment leads to the wrong place", name, is, err)
		}
	}
}

func pipe(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

func TestPathsAreAbsoluteBeforeTheyAreHandedOver(t *testing.T) {
	directory := t.TempDir()
	t.Chdir(directory)
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
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
	cmd := l.parent()
	reader, writer := pipe(t)
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	_, connection := l.child()
	// The child lives, and yet no process holds the other end of the command's output any more.
	reader.SetReadDeadline(time.Now().Add(20 * time.Second))
	if output, err := io.ReadAll(bufio.NewReader(reader)); err != nil || string(output) != "done\n" {
		t.Errorf("output %q, %v; want it to end with the command", output, err)
	}
	connection.Close()
}
