package e2e

import (
	"strings"
	"testing"
)

// What stands before the @ is no host: without it the address would look like another.
func TestAStoredAddressWithAUserNameIsShownAsOneThatCannotBeRight(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0")
	m.writeFile("credentials.yaml", "cloud: {contexts: {corp: {kind: self_hosted, api_key: arc_x, engine_url: 'https://a@evil.example',"+
		" coordinator_url: 'http://localhost:80@evil.example', dashboard_url: 'https://arcade.dev@evil.example'}}}\n")
	for _, command := range []string{"context show", "context show --json", "context list", "secret list"} {
		if r := m.Run(strings.Fields(command)...); strings.Contains(r.Stdout+r.Stderr, "evil.example") {
			t.Errorf("arcade %s shows an address that leads elsewhere than it looks: %q", command, r.Stdout+r.Stderr)
		}
	}
	if r := m.Must("context", "show"); strings.Count(r.Stdout, "not a valid address\n") != 2 {
		t.Errorf("context show says %q; want that the addresses of Cloud and dashboard are none", r.Stdout)
	}
}

// Production is production, also by its address.
func TestProductionByItsAddressIsNotSelfHosted(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Machine = m.Production()
	m.Cloud.Meet("ada")
	m.Env = append(m.Env, "ARCADE_API_KEY=arc_ada", "ARCADE_URL=https://api.arcade.dev/")
	m.Must("succeed")
	m.Must("usage", "flush")
	if e := m.AwaitEvents(1)[0]; e.DistinctID != "principal-ada" {
		t.Errorf("the event is %s's; want the owner's of the key, whom Arcade Cloud tells", e.DistinctID)
	}
	m.AwaitNoFlusher()
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0") // no flusher asks Cloud beside what follows
	m.says("usage status", 0, "Context:       env\n")
	m.says("whoami", 0, "Engine:       https://api.arcade.dev\nAPI key:      ARCADE_API_KEY is set: commands use that key and not the login; it belongs to principal-ada\n")
	m.Env = append(m.Env, "ARCADE_URL=https://api.staging.arcade.dev")
	asked := m.Cloud.Calls()
	m.says("usage status", 0, "env, self-hosted") // its keys are not production's
	if m.Must("whoami"); m.Cloud.Calls() != asked {
		t.Error("production was asked about a key that belongs to another Engine")
	}
}

func (m *machine) says(command string, code int, says string) {
	m.Helper()
	if r := m.Run(strings.Fields(command)...); r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
		m.Errorf("arcade %s: %+v; want exit code %d and %q", command, r, code, says)
	}
}
