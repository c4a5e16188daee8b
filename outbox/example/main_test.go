package main_test

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// hello is the program as its users have it, and the server that its makers have.
type hello struct {
	*testing.T
	program, home string
	url           string      // where events go; no server listens at first
	arrived       chan string // events, with their uuids
}

func build(t *testing.T) *hello {
	t.Helper()
	home, err := os.MkdirTemp("", "hello")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) }) // it may fail: a flusher may still be at work there
	h := &hello{t, filepath.Join(t.TempDir(), "hello"), home, "http://127.0.0.1:1", make(chan string, 100)}
	if runtime.GOOS == "windows" {
		h.program += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", h.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	return h
}

func (h *hello) run(environment []string, args ...string) string {
	h.Helper()
	cmd := exec.Command(h.program, args...)
	cmd.Env = append(os.Environ(), append([]string{"HELLO_HOME=" + h.home, "HELLO_USAGE_URL=" + h.url, "DO_NOT_TRACK="}, environment...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.Fatalf("hello %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (h *hello) online() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "not compressed", http.StatusBadRequest)
			return
		}
		var events []struct{ UUID, Event string }
		if err := json.NewDecoder(body).Decode(&events); err != nil {
			http.Error(w, "not JSON", http.StatusBadRequest)
			return
		}
		for _, e := range events {
			h.arrived <- e.Event + " " + e.UUID
		}
	}))
	h.Cleanup(server.Close)
	h.url = server.URL
}

func TestThreeRunsOfflineAndOneOnlineAreFourEventsInOrder(t *testing.T) {
	h := build(t)
	for _, name := range []string{"Ada", "Grace", "Edsger"} {
		if out := h.run(nil, name); out != "Hello, "+name+"!\n" {
			t.Errorf("hello printed %q", out)
		}
	}
	if out := h.run([]string{"DO_NOT_TRACK=1"}, "Nobody"); out != "Hello, Nobody!\n" {
		t.Errorf("hello printed %q", out)
	}
	h.online()
	h.run(nil, "Barbara")
	h.run(nil, "usage", "flush")
	if n := len(h.arrived); n != 4 {
		t.Fatalf("%d events arrived, want the three of offline and the one of online", n)
	}
	arrived := []string{<-h.arrived, <-h.arrived, <-h.arrived, <-h.arrived}
	if !slices.IsSorted(arrived) { // uuids of version 7 are in the order of time
		t.Errorf("an event arrived after a later one: %v", arrived)
	}
	if list := h.run(nil, "usage", "inspect"); strings.Count(list, "delivered") != 4 {
		t.Errorf("inspect says\n%s\nwant four delivered", list)
	}
}

// It is delivered by a process that the command leaves behind, without another command.
func TestACommandThatIsOnlineLeavesItsEventToAFlusher(t *testing.T) {
	h := build(t)
	h.online()
	h.run(nil, "Ada")
	select {
	case <-h.arrived:
	case <-time.After(30 * time.Second):
		t.Error("the event does not arrive")
	}
}

func TestTheExampleStaysShort(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(source), "\n"); lines > 60 {
		t.Errorf("the example has %d lines, want at most 60: it is what a reader copies", lines)
	}
}

func TestTheExampleDoesNotLinkPostHog(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "posthog-go") {
		t.Error("a program with httpsink links posthog-go")
	}
}
