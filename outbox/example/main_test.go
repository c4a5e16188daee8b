package main_test

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hello is the program as its users have it, and the server that its makers have.
type hello struct {
	*testing.T
	program string
	arrived chan string // events, with their uuids
}

func build(t *testing.T) *hello {
	t.Helper()
	home, err := os.MkdirTemp("", "hello")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) }) // it may fail: a flusher may still be at work there
	t.Setenv("HELLO_HOME", home)
	t.Setenv("HELLO_USAGE_URL", "http://127.0.0.1:1") // where no server listens
	t.Setenv("DO_NOT_TRACK", "")
	h := &hello{t, filepath.Join(t.TempDir(), "hello.exe"), make(chan string, 100)} // the name that Windows asks for
	if out, err := exec.Command("go", "build", "-o", h.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	return h
}

func (h *hello) run(args ...string) string {
	h.Helper()
	out, err := exec.Command(h.program, args...).CombinedOutput()
	if err != nil {
		h.Fatalf("hello %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (h *hello) online() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var events []struct{ UUID, Event string }
		body, err := gzip.NewReader(r.Body)
		if err == nil {
			err = json.NewDecoder(body).Decode(&events)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, e := range events {
			h.arrived <- e.Event + " " + e.UUID
		}
	}))
	h.Cleanup(server.Close)
	h.Setenv("HELLO_USAGE_URL", server.URL)
}

func TestThreeRunsOfflineAndOneOnlineAreFourEventsInOrder(t *testing.T) {
	h := build(t)
	for _, name := range []string{"Ada", "Grace", "Edsger", "Nobody"} {
		if name == "Nobody" {
			t.Setenv("DO_NOT_TRACK", "1")
		}
		if out := h.run(name); out != "Hello, "+name+"!\n" {
			t.Errorf("hello printed %q", out)
		}
	}
	t.Setenv("DO_NOT_TRACK", "")
	h.online()
	h.run("Barbara")
	h.run("usage", "flush")
	if n := len(h.arrived); n != 4 {
		t.Fatalf("%d events arrived, want the three of offline and the one of online", n)
	}
	arrived := []string{<-h.arrived, <-h.arrived, <-h.arrived, <-h.arrived}
	if !slices.IsSorted(arrived) { // uuids of version 7 are in the order of time
		t.Errorf("an event arrived after a later one: %v", arrived)
	}
	if list := h.run("usage", "inspect"); strings.Count(list, "delivered") != 4 {
		t.Errorf("inspect says\n%s\nwant four delivered", list)
	}
}

// It is delivered by a process that the command leaves behind, without another command.
func TestACommandThatIsOnlineLeavesItsEventToAFlusher(t *testing.T) {
	h := build(t)
	h.online()
	h.run("Ada")
	select {
	case <-h.arrived:
	case <-time.After(2 * time.Minute):
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
