package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

const passkeyAsked = "Error: your organization asks for a passkey or an authenticator app: " +
	"set it up in your Arcade account, then run 'arcade login' again.\n"

// refusesCode makes the token endpoint refuse with these words beside its error.
func refusesCode(words map[string]any) func(*identitytest.Behaviour) {
	return func(b *identitytest.Behaviour) { b.CodeRefusal = words }
}

func TestALoginThatWantsAPasskeySaysSoAndIsNotKept(t *testing.T) {
	t.Parallel()
	for name, behaves := range map[string]func(*identitytest.Behaviour){
		"a 401 to whoami":                      func(b *identitytest.Behaviour) { b.Insufficient = true },
		"an unmet requirement in whoami":       func(b *identitytest.Behaviour) { b.MFA = "unmet" },
		"a code refused for want of a passkey": refusesCode(map[string]any{"error_description": "SENTINEL: Set up a Passkey first"}),
		"a code refused, an authenticator":     refusesCode(map[string]any{"error": "access_denied", "error_description": "SENTINEL: no authenticator enrolled"}),
		"a code refused, with an address":      refusesCode(map[string]any{"error_uri": "https://docs.example/SENTINEL/mfa"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			cloud := m.OAuth(testbed.Ada())
			cloud.Set(behaves)
			r := loginAt(m, cloud)
			if r.Code != 1 || !strings.HasPrefix(r.Stderr, passkeyAsked) || strings.Contains(r.Stderr+r.Stdout, "SENTINEL: ") {
				t.Errorf("login: %+v; want exit code 1 and the one sentence, without the server's words", r)
			}
			if _, err := os.Stat(m.Path("credentials.yaml")); !os.IsNotExist(err) {
				t.Errorf("a login was kept: %v", err)
			}
			cloud.Set(func(b *identitytest.Behaviour) { b.Insufficient, b.MFA, b.CodeRefusal = false, "met", nil })
			if r := loginAt(m, cloud); r.Code != 0 {
				t.Errorf("once the passkey is set up: %+v; want to be logged in", r)
			}
		})
	}
}

// A passkey is a person's: of a key in force, neither the login nor the account is to be spoken of.
func TestAKeyThatIsRefusedForWantOfAPasskeyIsAKeyThatIsRefused(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	m.Machine = m.With(testbed.TestProduction+"=cloud.arcade.dev="+cloud.URL+" api.arcade.dev="+m.Engine.URL, "ARCADE_API_KEY=arc_x")
	const challenge = `Bearer error="insufficient_user_authentication"`
	cloud.Override(identitytest.ValidatePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
	})
	m.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 401, Challenge: challenge})
	for command, want := range map[string]string{
		"secret list":      "Error: the Engine does not accept the credentials (HTTP 401).\nCheck ARCADE_API_KEY, or unset it.\n",
		"secret set A=1":   "Error setting secret 'A': the Engine does not accept the credentials (HTTP 401)\nCheck ARCADE_API_KEY, or unset it.\n",
		"secret unset A":   "Error: the Engine does not accept the credentials (HTTP 401).\nCheck ARCADE_API_KEY, or unset it.\n",
		"whoami":           "Error: Arcade Cloud does not accept the key in ARCADE_API_KEY.\n",
		"login --with-key": "does not accept this API key.\nCheck the key, and --host or --url.\n",
	} {
		args := strings.Fields(command)
		if args[0] == "login" {
			args = append(args, testbed.At(cloud)...)
		}
		if r := m.RunWith("arc_x", args...); r.Code != 1 || !strings.Contains(r.Stderr, want) || command != "whoami" && strings.Contains(r.Stderr, "passkey") {
			t.Errorf("arcade %s: %+v; want %q", command, r, want)
		}
	}
}

// Nor does the answer of a server count that the login does not belong to.
func TestAnotherServersWishForAPasskeyIsAWrongHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.writeCloud("auth: {access_token: t, refresh_token: r, expires_at: 2999-01-01T00:00:00}", "context: {org_id: o, project_id: p}")
	m.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 401, Challenge: `Bearer error="insufficient_user_authentication"`})
	r := m.Run("secret", "list", "--host", "localhost", "--port", m.EnginePort())
	if r.Code != 1 || !strings.Contains(r.Stderr, "Check --host: this login belongs to https://cloud.arcade.dev.") || strings.Contains(r.Stderr, "passkey") {
		t.Errorf("%+v; want to be told that the host is another's", r)
	}
}

// Renewing does not help, and a login that is asked for once more is still the same one.
func TestALoginThatComesToWantAPasskeyIsNotRenewed(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	before, renewals := m.ReadFile("credentials.yaml"), cloud.Count(identitytest.TokenPath)
	m.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 401, Challenge: `Bearer error="insufficient_user_authentication", error_description="SENTINEL: x"`})
	says := func(when string) {
		t.Helper()
		for _, args := range [][]string{{"whoami"}, {"org", "list"}, {"project", "set", "Bernoulli"},
			{"secret", "list", "--host", "localhost", "--port", testbed.PortOf(t, m.Engine.URL)}} {
			if r := m.Run(args...); r.Code != 1 || !strings.Contains(r.Stderr, passkeyAsked) || strings.Contains(r.Stderr+r.Stdout, "SENTINEL") {
				t.Errorf("%s, arcade %v: %+v; want the one sentence", when, args, r)
			}
		}
	}
	cloud.Set(func(b *identitytest.Behaviour) { b.Insufficient = true })
	says("with a 401")
	if n := cloud.Count(identitytest.TokenPath) - renewals; n != 0 || m.ReadFile("credentials.yaml") != before {
		t.Errorf("%d renewals; want none, and the file as it was", n)
	}
	cloud.Set(func(b *identitytest.Behaviour) { b.Insufficient, b.MFA = false, "unmet" })
	if r := m.Run("whoami"); r.Code != 1 || !strings.Contains(r.Stderr, passkeyAsked) {
		t.Errorf("whoami: %+v; want the one sentence", r)
	}
	m.expire()
	cloud.Set(refusesCode(map[string]any{"error_description": "SENTINEL: passkey"}))
	says("at a renewal")
	if n := cloud.Count(identitytest.TokenPath) - renewals; n != 1 {
		t.Errorf("the refresh token was shown %d times; want once, it is the same the next time", n)
	}
}
