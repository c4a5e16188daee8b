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

// Production is production, also by its address: the event is the key's owner's, whom Arcade Cloud is asked for.
func TestProductionByItsAddressIsNotSelfHosted(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Machine = m.Production()
	m.Cloud.Meet("ada")
	m.Env = append(m.Env, "ARCADE_API_KEY=arc_ada", "ARCADE_URL=https://api.arcade.dev/")
	if r := m.Must("usage", "status"); !strings.Contains(r.Stdout, "Context:       env\n") {
		t.Errorf("usage status says %q; want a context that is not self-hosted", r.Stdout)
	}
	m.says("whoami", 0, "Engine:       https://api.arcade.dev\nAPI key:      ARCADE_API_KEY is set: commands use that key and not the login; it belongs to principal-ada\n")
	staging := m.With("ARCADE_URL=https://api.staging.arcade.dev")
	asked := m.Cloud.Calls()
	if r := staging.Must("usage", "status"); !strings.Contains(r.Stdout, "env, self-hosted") {
		t.Errorf("usage status says %q; want another Engine kept apart: its keys are not production's", r.Stdout)
	}
	if staging.Must("whoami"); m.Cloud.Calls() != asked {
		t.Error("production was asked about a key that belongs to another Engine")
	}
}
