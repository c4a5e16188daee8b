package e2e

import (
	"bufio"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// Who reads only the first line, as `login | head -1` does, is logged in all the same.
func TestTheBrowserIsToldOfALoginThatIsKeptWhoeverReads(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cloud := m.OAuth(testbed.Ada())
	cmd := m.Command(append([]string{"login", "--no-browser"}, testbed.At(cloud)...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http") {
			address = line
		}
		if strings.HasPrefix(lines.Text(), "Waiting") {
			break
		}
	}
	out.Close()
	status, page, err := identitytest.Browse(address)
	if err != nil || status != 200 || !strings.Contains(page, "You are logged in to Arcade.") {
		t.Errorf("the browser shows %d, %q, %v; want that the login is kept", status, page, err)
	}
	if cmd.Wait(); !strings.Contains(m.ReadFile("credentials.yaml"), "ada@example.com") {
		t.Error("the login was not kept")
	}
}

func TestABrowserThatShowsNothingLeadsToTheOtherWays(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cloud := m.OAuth(testbed.Ada())
	m.Env = append(m.Env, "BROWSER=true", testbed.TestPatience+"=1ms")
	r := m.Run(append([]string{"login", "--timeout", "1s"}, testbed.At(cloud)...)...)
	said := strings.Join(strings.Fields(r.Stderr), " ")
	if !strings.HasPrefix(said, "Nothing has come from the browser yet.") || !strings.Contains(said, "ssh -L") {
		t.Errorf("login: %+v; want the other ways before it gives up", r)
	}
}

func TestALoginTimeoutThatIsNoneIsSaidAndTheDefaultTaken(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"soon", "0", "-5", "1.5", "5m", "86401", "9223372036854775807", "99999999999999999999"} {
		m := newMachine(t)
		cloud := m.OAuth(testbed.Ada())
		m.Env = append(m.Env, "ARCADE_LOGIN_TIMEOUT_SECONDS="+value)
		r := loginAt(m, cloud)
		if want := "Warning: ARCADE_LOGIN_TIMEOUT_SECONDS is no number of seconds from 1 to 86400; 10 min is taken."; r.Code != 0 || !strings.Contains(r.Stderr, want) ||
			!strings.Contains(r.Stdout, "for 10 min at most") {
			t.Errorf("%s: login: %+v; want %q", value, r, want)
		}
		if r := m.Run("login", "--timeout", value); value != "5m" && r.Code != 2 {
			t.Errorf("--timeout %s: %+v; want wrong usage", value, r)
		}
	}
}

func TestWhatBeatsALoginAndOutlivesALogoutIsSaid(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cloud := m.OAuth(testbed.Ada())
	cloud.AddKey("arc_x", "principal-x")
	with := m.With("ARCADE_API_KEY=arc_x")
	const beaten = "ARCADE_API_KEY is set: commands use that key and not this login."
	for _, which := range []string{"a new login", "a second one"} {
		if r := with.Run(append([]string{"login"}, testbed.At(cloud)...)...); r.Code != 0 || !strings.Contains(r.Stderr, beaten) {
			t.Errorf("%s: %+v; want %q", which, r, beaten)
		}
	}
	if r := m.Must("logout"); !strings.Contains(r.Stdout, "The session at Arcade Cloud lives on until it ends by itself.") {
		t.Errorf("logout: %+v", r)
	}
	key := m.Command(append([]string{"login", "--with-key"}, testbed.At(cloud)...)...)
	key.Stdin = strings.NewReader("arc_x\n")
	if r := m.Finish(key); r.Code != 0 || strings.Contains(r.Stderr, beaten) {
		t.Errorf("login --with-key: %+v", r)
	}
	if r := m.Must("logout"); !strings.Contains(r.Stdout, "The API key itself stays valid.") {
		t.Errorf("logout: %+v", r)
	}
}
