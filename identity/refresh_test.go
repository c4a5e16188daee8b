package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

var (
	ada = identitytest.Person{PrincipalID: "acc_ada", Email: "ada@arcade.test",
		Orgs: []identitytest.Org{{ID: "org_1", Name: "Analytical", Default: true,
			Projects: []identitytest.Project{{ID: "proj_1", Name: "Engine", Default: true}}}}}
	bob = identitytest.Person{PrincipalID: "acc_bob", Email: "bob@arcade.test"}
)

// world is a Cloud, and a login of Ada's whose token expires in left. Its clock stands still.
type world struct {
	cloud   *identitytest.Cloud
	session Session
	login   Credentials // as it was written
	now     time.Time
}

func newWorld(t *testing.T, left time.Duration) *world {
	t.Helper()
	cloud := identitytest.Start(ada, bob)
	t.Cleanup(cloud.Close)
	f, now := credentialsAt(t, ""), time.Now()
	w := &world{cloud, Session{File: f, HTTP: http.DefaultClient, Now: func() time.Time { return now }}, Credentials{}, now}
	w.login = w.loginOf(ada.Email, left)
	must(t, f.Write(t.Context(), w.login))
	return w
}

// loginOf is a new login, good for left.
func (w *world) loginOf(email string, left time.Duration) Credentials {
	access, refresh := w.cloud.Login(email)
	return Tokens{access, refresh, left}.Into(Credentials{Email: email, CoordinatorURL: w.cloud.URL,
		Context: Context{"org_1", "Analytical", "proj_1", "Engine"}}, w.now)
}

// checkWorks checks that Cloud accepts the login in the file, and that its rules were kept.
func (w *world) checkWorks(t *testing.T) {
	t.Helper()
	c, err := w.session.File.Read()
	account, askErr := c.Cloud(http.DefaultClient).WhoAmI(t.Context(), c)
	if errors.Join(err, askErr) != nil || account.PrincipalID != ada.PrincipalID {
		t.Errorf("Cloud says %+v, %v to the login in the file, %v; want Ada", account, askErr, err)
	}
	if v := w.cloud.Violations(); len(v) != 0 {
		t.Error(v)
	}
}

// checkUntouched checks that the file is as it was, but for a note of a refusal.
func (w *world) checkUntouched(t *testing.T, before string) {
	t.Helper()
	if now := contentOf(t, w.session.File.Path); now != before {
		t.Errorf("the file was changed to\n%s\nwant\n%s", now, before)
	}
	_ = os.Remove(w.session.File.places())
	checkFiles(t, w.session.File.Path, "credentials.lock", "credentials.yaml")
}

// checkRenewals checks how often a refresh token was shown: a second time looks like theft.
func (w *world) checkRenewals(t *testing.T, want int) {
	t.Helper()
	if n := w.cloud.Count(identitytest.TokenPath); n != want {
		t.Errorf("the refresh token was shown %d times; want %d", n, want)
	}
}

// refuse lets Cloud refuse refresh tokens, or take them again.
func (w *world) refuse(refused bool) {
	w.cloud.Set(func(b *identitytest.Behaviour) {
		if b.CodeRefusal = nil; refused {
			b.CodeRefusal = map[string]any{"error": "invalid_grant"}
		}
	})
}

// replace replaces a text in the file, without a lock, as the Python CLI does.
func (w *world) replace(t *testing.T, old, now string) {
	t.Helper()
	put(t, w.session.File.Path, strings.ReplaceAll(contentOf(t, w.session.File.Path), old, now))
}

func TestAnExpiredTokenIsRenewedAndAGoodOneUsedAsItIs(t *testing.T) {
	w := newWorld(t, 299*time.Second)
	put(t, temporaryOf(w.session.File.Path), "of one that was killed")
	c, err := w.session.Credentials(t.Context())
	if err != nil || c.AccessToken == w.login.AccessToken || c.RefreshToken == w.login.RefreshToken || c.Expired(w.now) {
		t.Fatalf("got %s, %v; want new tokens", show(c), err)
	}
	if c.Context != w.login.Context || c.Email != w.login.Email || c.Fingerprint() != w.login.Fingerprint() {
		t.Errorf("got %s; want the same person and project", show(c))
	}
	if onDisk, err := w.session.File.Read(); err != nil || onDisk != c {
		t.Errorf("on disk is %s, %v; want what is used: %s", show(onDisk), err, show(c))
	}
	checkPrivate(t, w.session.File.Path)
	checkFiles(t, w.session.File.Path, "credentials.lock", "credentials.yaml")
	if again, err := w.session.Credentials(t.Context()); err != nil || again != c {
		t.Errorf("the next command got %s, %v; want the same", show(again), err)
	}
	if again, err := w.session.renewed(t.Context(), w.login); err != nil || again != c {
		t.Errorf("a command that had read the old login got %s, %v; want the same", show(again), err)
	}
	w.checkRenewals(t, 1)
	w.checkWorks(t)
}

func TestARefreshTokenThatIsNotReplacedStays(t *testing.T) {
	w := newWorld(t, 0)
	w.cloud.Override(identitytest.TokenPath, func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "application/json")
		fmt.Fprint(answer, `{"access_token": "access_2", "token_type": "bearer", "expires_in": 3600}`)
	})
	c, err := w.session.Credentials(t.Context())
	if err != nil || c.RefreshToken != w.login.RefreshToken || c.AccessToken == w.login.AccessToken {
		t.Errorf("got %s, %v; want a new access token and the old refresh token", show(c), err)
	}
}

// client sends requests with the login's token.
func (w *world) client(network http.RoundTripper) *http.Client {
	return &http.Client{Transport: &Transport{Session: w.session, Login: w.login, Next: network}}
}

// Any server can answer 401: only one that belongs to the login is worth a refresh token. The refusal is read to its
// end, so that its connection is used again, and each request after it shows the token that works.
func TestARefusalOfAServerOfTheLoginRenewsItOnce(t *testing.T) {
	for server, c := range map[string]struct{ status, asked, renewals int }{
		"":                             {http.StatusOK, 11, 1}, // the login's own
		"https://api.stranger.example": {http.StatusUnauthorized, 10, 0},
	} {
		w := newWorld(t, time.Hour)
		asked, refusal := 0, strings.NewReader(strings.Repeat("no ", 5000))
		client := w.client(roundTripper(func(r *http.Request) (*http.Response, error) {
			asked++
			if body, _ := io.ReadAll(r.Body); string(body) != "value" {
				t.Errorf("a request came with the body %q; want it whole, the second time, too", body)
			}
			if r.Header.Get("Authorization") == "Bearer "+w.login.AccessToken {
				return &http.Response{StatusCode: http.StatusUnauthorized, Body: io.NopCloser(refusal)}, nil
			}
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}))
		for range 10 {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, cmp.Or(server, w.cloud.URL), strings.NewReader("value"))
			must(t, err)
			request.Header.Set("Authorization", "Bearer "+w.login.AccessToken)
			response, err := client.Do(request)
			must(t, err)
			if response.StatusCode != c.status {
				t.Fatalf("%q: got status %d; want %d", server, response.StatusCode, c.status)
			}
		}
		if read := refusal.Len() == 0; asked != c.asked || read != (c.renewals > 0) {
			t.Errorf("%q: %d requests, a refusal that was read: %v; want %d: a token that was refused and renewed is shown once",
				server, asked, read, c.asked)
		}
		w.checkRenewals(t, c.renewals)
	}
}

// A process that was killed while it renewed has used the refresh token up. The next one
// learns that once: to show the token again and again looks like theft.
func TestARefreshTokenThatWasRefusedIsShownOnce(t *testing.T) {
	w := newWorld(t, -time.Second)
	w.refuse(true)
	before := contentOf(t, w.session.File.Path)
	for range 20 {
		if c, err := w.session.Credentials(t.Context()); !errors.Is(err, ErrLoginEnded) || c.Present() {
			t.Fatalf("got %s, %v; want ErrLoginEnded and nothing to use", show(c), err)
		}
	}
	w.checkRenewals(t, 1)
	places := w.session.File.Places(w.login)
	if places.Refused == "" || strings.Contains(fmt.Sprint(places), w.login.RefreshToken) {
		t.Errorf("what is kept of that is %+v; want a hash", places)
	}
	w.checkUntouched(t, before)
	w.refuse(false)
	again := w.loginOf(ada.Email, 0)
	must(t, w.session.File.Write(t.Context(), again))
	if c, err := w.session.Credentials(t.Context()); err != nil || c.AccessToken == again.AccessToken {
		t.Errorf("after another login of the same person, got %s, %v; want it renewed", show(c), err)
	}
}

func TestALoginThatCannotBeRenewedEndsWithItsToken(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"without a refresh token": func(w *world) { w.replace(t, w.login.RefreshToken, "''") },
		"with a key beside it":    func(w *world) { w.replace(t, "cloud:", "cloud:\n  api: {key: arc_k, version: v1}") },
	} {
		w := newWorld(t, -time.Second)
		prepare(w)
		before := contentOf(t, w.session.File.Path)
		old, err := w.session.File.Read()
		must(t, err)
		if c, err := w.session.renewed(t.Context(), old); !errors.Is(err, ErrLoginEnded) || c.Present() {
			t.Errorf("%s: got %s, %v; want ErrLoginEnded and nothing to use", name, show(c), err)
		}
		w.checkRenewals(t, 0)
		w.checkUntouched(t, before)
	}
}

func TestTheWaitForAnotherRenewalIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, -time.Second)
	release := holdLock(t, w.session.File)
	told := 0
	w.session.Waiting = func() {
		if told++; told == 1 {
			release()
		}
	}
	if _, err := w.session.Credentials(t.Context()); err != nil || told != 1 {
		t.Errorf("got %v, and was told %d times; want to be told once, and the renewal afterwards", err, told)
	}
}

// The second time the answer to a refresh token is the one that is kept.
func TestAStrongerLoginIsAskedForInThreePlaces(t *testing.T) {
	const expired, refused = -time.Second, time.Hour // the token, by the server alone
	refusing := func(field, text string) identitytest.Behaviour {
		return identitytest.Behaviour{CodeRefusal: map[string]any{field: text}}
	}
	for name, c := range map[string]struct {
		left      time.Duration
		behaviour identitytest.Behaviour
		want      error // nil for a login that works
	}{
		"by a 401 to a call":                       {expired, identitytest.Behaviour{Insufficient: true}, ErrStrongerLogin},
		"by whoami":                                {expired, identitytest.Behaviour{MFA: "unmet"}, ErrStrongerLogin},
		"not by a whoami that is content":          {expired, identitytest.Behaviour{MFA: "met"}, nil},
		"by the words about a refresh token":       {expired, refusing("error_description", "Set up a Passkey."), ErrStrongerLogin},
		"by the page about a refresh token":        {expired, refusing("error_uri", "https://auth.example/mfa"), ErrStrongerLogin},
		"not by a word that merely has these":      {expired, refusing("error_description", "comfar"), ErrLoginEnded},
		"by a renewal for a call that was refused": {refused, refusing("error_description", "a passkey"), ErrStrongerLogin},
		"not by any renewal for such a call":       {refused, refusing("error_description", ""), ErrNotAuthenticated},
	} {
		w := newWorld(t, c.left)
		if c.left == refused {
			w.replace(t, w.login.AccessToken, "access_gone")
		}
		w.cloud.Set(func(b *identitytest.Behaviour) { *b = c.behaviour })
		for range 2 {
			login, err := w.session.Credentials(t.Context())
			if err == nil {
				w.login = login
				_, err = login.Cloud(w.client(http.DefaultTransport)).WhoAmI(t.Context(), login)
			}
			if !errors.Is(err, c.want) || errors.Is(err, ErrStrongerLogin) != (c.want == ErrStrongerLogin) {
				t.Errorf("%s: got %v; want %v", name, err, c.want)
			}
		}
		w.checkRenewals(t, 1)
	}
}

func TestACloudInTroubleDoesNotEndTheLogin(t *testing.T) {
	const html, text, object = "text/html", "text/plain", "application/json"
	token := func(rest string) string {
		return `{"access_token": "SENTINEL", "refresh_token": "r", "token_type": "Bearer"` + rest + `}`
	}
	for name, c := range map[string]struct {
		path       string
		status     int
		kind, body string
	}{
		"cli_config redirected":   {identitytest.ConfigPath, 301, text, "SENTINEL"},
		"cli_config without":      {identitytest.ConfigPath, 200, object, "{}"},
		"cli_config not there":    {identitytest.ConfigPath, 404, text, "SENTINEL"},
		"token 503":               {identitytest.TokenPath, 503, text, "SENTINEL"},
		"token 500 that guesses":  {identitytest.TokenPath, 500, object, `{"error": "invalid_grant"}`},
		"token 400 of ours":       {identitytest.TokenPath, 400, object, `{"error": "invalid_request"}`},
		"token 400 of a proxy":    {identitytest.TokenPath, 400, html, "<html>SENTINEL"},
		"token empty":             {identitytest.TokenPath, 200, object, "{}"},
		"no expiry":               {identitytest.TokenPath, 200, object, token("")},
		"expiry 0":                {identitytest.TokenPath, 200, object, token(`, "expires_in": 0`)},
		"expiry a string":         {identitytest.TokenPath, 200, object, token(`, "expires_in": "3600"`)},
		"expiry beyond reason":    {identitytest.TokenPath, 200, object, token(`, "expires_in": 1e18`)},
		"another type":            {identitytest.TokenPath, 200, object, `{"access_token": "SENTINEL", "expires_in": 5, "token_type": "mac"}`},
		"a token no header bears": {identitytest.TokenPath, 200, object, `{"access_token": "SENTI\nNEL", "expires_in": 5}`},
		"a token no file bears": {identitytest.TokenPath, 200, object,
			`{"access_token": "` + strings.Repeat("x", 13<<10) + `", "expires_in": 5}`},
		"a refresh token no form bears": {identitytest.TokenPath, 200, object,
			`{"access_token": "SENTINEL", "refresh_token": "SENTI\nNEL", "expires_in": 5}`},
		"a redirect": {identitytest.TokenPath, 307, text, "SENTINEL"},
	} {
		answer := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.Header().Set("Location", "/stolen")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, -time.Second)
			w.cloud.Override(c.path, answer)
			before := contentOf(t, w.session.File.Path)
			got, err := w.session.Credentials(t.Context())
			var cloudErr *CloudError
			if !errors.As(err, &cloudErr) || errors.Is(err, ErrLoginEnded) || got.Present() {
				t.Errorf("got %s, %v; want a CloudError, the login has not ended", show(got), err)
			}
			if strings.Contains(fmt.Sprint(err), "SENTINEL") {
				t.Errorf("the error quotes the server: %v", err)
			}
			w.checkUntouched(t, before)
			if n := w.cloud.Count("/stolen"); n != 0 || w.session.HTTP.CheckRedirect != nil {
				t.Error("a redirect was followed, which takes a token elsewhere; or the caller's HTTP client is another now")
			}

			soon := newWorld(t, 100*time.Second)
			soon.cloud.Override(c.path, answer)
			if got, err := soon.session.Credentials(t.Context()); err != nil || got.AccessToken != soon.login.AccessToken {
				t.Errorf("with 100 s left, got %s, %v; want the token that is still good", show(got), err)
			}
		})
	}
}

func TestAnotherProgramThatWasFasterIsNoticed(t *testing.T) {
	// login is one that the Python CLI makes, and writes without a lock.
	login := func(email string, left time.Duration) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			other := credentialsAt(t, "")
			must(t, other.Write(t.Context(), w.loginOf(email, left)))
			put(t, w.session.File.Path, contentOf(t, other.Path))
		}
	}
	project := func(t *testing.T, w *world) { w.replace(t, "proj_1", "proj_2") }
	logout := func(t *testing.T, w *world) { must(t, os.Remove(w.session.File.Path)) }
	for name, test := range map[string]struct {
		refused  bool // our refresh token
		do       func(t *testing.T, w *world)
		email    string // of the login that is used then, "" for none
		project  string
		renewals int
	}{
		"while the server refused ours":          {true, login(ada.Email, time.Hour), ada.Email, "proj_1", 1},
		"while the server refused ours, expired": {true, login(ada.Email, -time.Second), ada.Email, "proj_1", 2},
		"with another project":                   {false, project, ada.Email, "proj_2", 1},
		"with a logout":                          {false, logout, "", "", 1},
		"with another person's login":            {false, login(bob.Email, time.Hour), bob.Email, "proj_1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			w.refuse(test.refused)
			answered := 0
			w.session.File.Point = func(point string) {
				if point == "answered" {
					if answered++; answered == 1 {
						w.refuse(false)
						test.do(t, w)
					}
				}
			}
			c, err := w.session.Credentials(t.Context())
			if usable := err == nil && c.left(w.now) > 0; c.Email != test.email || c.ProjectID != test.project || usable != (test.email != "") {
				t.Errorf("got %s, %v; want the login as it is now", show(c), err)
			}
			onDisk, readErr := w.session.File.Read()
			if gone := errors.Is(err, fs.ErrNotExist) && errors.Is(readErr, fs.ErrNotExist); onDisk != c || gone != (test.email == "") {
				t.Errorf("on disk is %s, %v; want what is used: %s, %v", show(onDisk), readErr, show(c), err)
			}
			w.checkRenewals(t, test.renewals)
		})
	}
	w := newWorld(t, 0)
	login(ada.Email, time.Minute)(t, w) // hardly lasts, and is good enough for the command that waited
	if c, err := w.session.renewed(t.Context(), w.login); err != nil || c.AccessToken == w.login.AccessToken {
		t.Errorf("before the lock was had: got %s, %v; want the other program's token", show(c), err)
	}
	w.checkRenewals(t, 0)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAFileThatCannotBeWrittenCostsNoRefreshToken(t *testing.T) {
	w := newWorld(t, -time.Second)
	// A name that leaves no room for that of a temporary file stands for a disk that is full or
	// read-only, which root does not meet.
	long := filepath.Join(t.TempDir(), strings.Repeat("c", 245)+".yaml")
	put(t, long, contentOf(t, w.session.File.Path))
	w.session.File.Path = long
	var file *fs.PathError
	if _, err := w.session.Credentials(t.Context()); !errors.As(err, &file) {
		t.Errorf("got %v; want to be told that the file cannot be written", err)
	}
	w.checkRenewals(t, 0) // it would be used up, and its successor have nowhere to go
}

func TestAnInterruptDoesNotLoseTheAnswer(t *testing.T) {
	w := newWorld(t, -time.Second)
	ctx, interrupt := context.WithCancel(t.Context())
	w.session.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == identitytest.TokenPath {
			interrupt()
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	if _, err := w.session.Credentials(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the command to end with the interrupt", err)
	}
	if c, err := w.session.File.Read(); err != nil || c.AccessToken == w.login.AccessToken {
		t.Errorf("the file holds %s, %v; want the answer of the renewal that had been sent", show(c), err)
	}
	w.checkWorks(t)
}
