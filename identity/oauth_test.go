package identity

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

func startCloud(t *testing.T) (*identitytest.Cloud, Cloud) {
	t.Helper()
	stand := identitytest.Start(ada, bob)
	t.Cleanup(stand.Close)
	return stand, Cloud{BaseURL: stand.URL, HTTP: http.DefaultClient}
}

// browserLogin goes through the login page with a browser and returns the code. The page of the stand-in breaks off a
// login that lacks a parameter, or what the page's address has of its own.
func browserLogin(t *testing.T, stand *identitytest.Cloud, cloud Cloud, verifier string) (OAuth, string) {
	t.Helper()
	server := listen(t)
	redirect := server.RedirectURI()
	stand.Set(func(b *identitytest.Behaviour) { b.RedirectURI = redirect })
	oauth, err := cloud.OAuth(t.Context())
	must(t, err)
	oauth = oauth.At(redirect)
	go func() { _, _, _ = identitytest.Browse(oauth.LoginURL(server.state, verifier)) }()
	code, err := server.Wait(t.Context())
	must(t, err)
	go server.Finish("")
	return oauth, code
}

func TestALoginByOAuth(t *testing.T) {
	stand, cloud := startCloud(t)
	verifier := NewVerifier()
	oauth, code := browserLogin(t, stand, cloud, verifier)
	tokens, err := oauth.Exchange(t.Context(), code, verifier)
	if err != nil || tokens.Life != time.Hour || tokens.Refresh == "" {
		t.Fatalf("got life %v, refresh token %v, %v; want an hour and one", tokens.Life, tokens.Refresh != "", err)
	}
	account, err := cloud.WhoAmI(t.Context(), tokens.Into(Credentials{}, noon))
	if err != nil || account.PrincipalID != ada.PrincipalID || len(account.Organisations) != 1 || len(account.Projects) != 1 {
		t.Errorf("Cloud says %+v, %v; want Ada with her organisation and project", account, err)
	}
	if v := stand.Violations(); len(v) != 0 {
		t.Error(v)
	}
	const want = "Arcade Cloud does not accept the code of this login (HTTP status 400)"
	if _, err := oauth.Exchange(t.Context(), code, verifier); err == nil || err.Error() != want {
		t.Errorf("a code that was used gave %v; want %q, in our own words", err, want)
	}
	oauth, code = browserLogin(t, stand, cloud, verifier)
	if _, err := oauth.Exchange(t.Context(), code, NewVerifier()); err == nil || len(stand.Violations()) != 2 {
		t.Errorf("another program's verifier gave %v; want it refused, or the stand-in does not verify PKCE", err)
	}
}

func TestEndpointsThatOthersCouldReadAreRefused(t *testing.T) {
	here, far := Cloud{BaseURL: "http://127.0.0.1:8000"}, Cloud{BaseURL: "https://cloud.example"}
	for endpoint, want := range map[string][2]bool{ // of a Cloud on this machine, and of one elsewhere
		"https://auth.example/token":    {true, true},
		"http://127.0.0.1:8000/token":   {true, false},
		"http://auth.example/token":     {},
		"http://localhost.evil.example": {},
		"javascript:alert(1)":           {},
	} {
		if got := [2]bool{here.mayName(endpoint), far.mayName(endpoint)}; got != want {
			t.Errorf("%s may be named: %v; want %v", endpoint, got, want)
		}
	}
}

func TestACloudWithoutALoginThatIsSafeSaysSo(t *testing.T) {
	stand, cloud := startCloud(t)
	for name, behaviour := range map[string]identitytest.Behaviour{
		"a readable token endpoint":     {TokenURL: "http://auth.example/t"},
		"a readable page for the login": {AuthorizeURL: "http://auth.example/t"},
	} {
		stand.Set(func(b *identitytest.Behaviour) { *b = behaviour })
		if _, err := cloud.OAuth(t.Context()); err == nil || !strings.Contains(err.Error(), "not reached by https") {
			t.Errorf("%s gave %v; want it refused", name, err)
		}
	}
	stand.Override(identitytest.ConfigPath, http.NotFound)
	if _, err := cloud.OAuth(t.Context()); !errors.Is(err, ErrNoOAuth) {
		t.Errorf("a Cloud that knows keys only gave %v; want ErrNoOAuth, so that a key is asked for", err)
	}
}
