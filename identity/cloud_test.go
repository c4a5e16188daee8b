package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

var (
	keyLogin   = Credentials{APIKey: "arc_SENTINEL"}
	oauthLogin = Credentials{AccessToken: "tok_SENTINEL"}
)

// cloudWith returns a Cloud whose server answers with handle.
func cloudWith(t *testing.T, handle http.HandlerFunc) Cloud {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return Cloud{BaseURL: server.URL, HTTP: server.Client()}
}

func answering(t *testing.T, status int, body string) Cloud {
	t.Helper()
	return cloudWith(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

func TestAskingCloudWhoseCredentialsTheseAre(t *testing.T) {
	for _, c := range []struct {
		name       string
		login      Credentials
		path, body string
		want       Account
	}{
		{"by an API key, whatever is beside it", Credentials{APIKey: "arc_1", AccessToken: "x"}, "/api/v1/auth/validate",
			`{"data": {"principal_id": "acc_1"}}`, Account{PrincipalID: "acc_1"}},
		{"by an access token", oauthLogin, "/api/v1/auth/whoami",
			`{"data": {"account_id": "acc_1", "email": "a\u001b[31m@b.c", "organizations": [{"org_id": "o"}], "projects": []}}`,
			Account{PrincipalID: "acc_1", Email: "a [31m@b.c", Organisations: []Choice{{ID: "o"}}}}, // for a terminal
		{"by an access token, older", oauthLogin, "/api/v1/auth/whoami", `{"data": {"principal_id": "acc_1"}}`, Account{PrincipalID: "acc_1"}},
	} {
		cloud := cloudWith(t, func(w http.ResponseWriter, r *http.Request) {
			asked := []string{r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Accept")}
			want := []string{http.MethodGet, c.path, "Bearer " + cmp.Or(c.login.APIKey, c.login.AccessToken), "application/json"}
			if !slices.Equal(asked, want) {
				t.Errorf("%s: asked %q; want %q, as the Python CLI does", c.name, asked, want)
			}
			fmt.Fprint(w, c.body)
		})
		cloud.BaseURL += "/" // as people write it
		got, err := cloud.WhoAmI(t.Context(), c.login)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: got %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

func TestAnAnswerThatIsNoneIsToldApartFromARefusal(t *testing.T) {
	const json, html = "application/json", "text/html"
	for _, c := range []struct {
		name          string
		status        int
		kind, body    string
		refused, page bool
	}{
		{"401", 401, json, "SENTINEL", true, false},
		{"403", 403, "", "SENTINEL", true, false},
		{"404", 404, json, "SENTINEL", false, false},
		{"500", 500, json, "SENTINEL", false, false},
		{"204", 204, json, "", false, false},
		{"a portal's page", 200, html, "{}", false, true},
		{"a portal's page with 401", 401, "TEXT/HTML; charset=utf-8", "SENTINEL", false, true},
		{"a portal's page in XML with 403", 403, "application/xhtml+xml", "SENTINEL", false, true},
		{"a page that is not called one", 403, json, "\n<SENTINEL>", false, true},
		{"a type with the word in it", 401, "application/json; profile=html", "{}", true, false},
		{"nothing", 200, json, "", false, false},
		{"half an answer", 200, json, `{"data": {"principal_id": "SENTINEL"`, false, false},
		{"no id", 200, json, `{"data": {"SENTINEL": 1}}`, false, false},
		{"null", 200, json, `{"data": null}`, false, false},
		{"an id that is a number", 200, json, `{"data": {"principal_id": 7}}`, false, false},
		{"an id PostHog refuses", 200, json, `{"data": {"principal_id": "anonymous"}}`, false, false},
		{"an id PostHog would cut", 200, json, `{"data": {"principal_id": "SENTINEL` + strings.Repeat("x", 200) + `"}}`, false, false},
		{"an id a terminal would obey", 200, json, `{"data": {"principal_id": "SENTINEL\u001b[31m"}}`, false, false},
		{"more than a megabyte", 200, json, `{"data": {"principal_id": "SENTINEL"}}` + strings.Repeat(" ", 1<<20), false, false},
	} {
		cloud := cloudWith(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		_, err := cloud.WhoAmI(t.Context(), keyLogin)
		var cloudErr *CloudError
		known := errors.As(err, &cloudErr) && cloudErr.Status == c.status && cloudErr.Page == c.page
		if !known || errors.Is(err, ErrNotAuthenticated) != c.refused {
			t.Errorf("%s: got %#v; want a CloudError with this status, that it is a page: %v, and ErrNotAuthenticated: %v",
				c.name, err, c.page, c.refused)
		}
		if strings.Contains(fmt.Sprintf("%v %#v", err, err), "SENTINEL") {
			t.Errorf("%s: the error quotes the server or the key: %v", c.name, err)
		}
	}
}

func TestNothingToShowIsNotAuthenticated(t *testing.T) {
	cloud := cloudWith(t, func(http.ResponseWriter, *http.Request) { t.Error("Cloud was asked; there was nothing to ask with") })
	for name, login := range map[string]Credentials{"nothing": {}, "a key that fits no header": {APIKey: "arc_SENTINEL\n"}} {
		_, err := cloud.WhoAmI(t.Context(), login)
		if !errors.Is(err, ErrNotAuthenticated) || strings.Contains(err.Error(), "SENTINEL") {
			t.Errorf("%s gave %v; want ErrNotAuthenticated", name, err)
		}
	}
}

func TestACloudThatDoesNotAnswer(t *testing.T) {
	stuck := cloudWith(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	half := cloudWith(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `{"data"`)
	})
	at := func(address string) Cloud { return Cloud{BaseURL: address, HTTP: http.DefaultClient} }
	const noURL = "Arcade Cloud has an address that is no URL with https://"

	hurried, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, c := range []struct {
		name  string
		cloud Cloud
		ctx   context.Context
		want  string
		cause error
	}{
		{"hanging", stuck, hurried, "Arcade Cloud did not answer in time", context.DeadlineExceeded},
		{"interrupted", stuck, interrupted, "Arcade Cloud was not waited for", context.Canceled},
		{"breaking off", half, t.Context(), "Arcade Cloud cannot be reached", nil},
		{"away", at("http://127.0.0.1:1"), t.Context(), "Arcade Cloud cannot be reached", nil},
		{"at an address with a password", at("http://SENTINEL:pass@127.0.0.1:1"), t.Context(), noURL, nil},
		{"at no URL", at("http://SENTINEL\x7f"), t.Context(), noURL, nil},
		{"where others could read the key", at("http://cloud.example"), t.Context(), noURL, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.cloud.WhoAmI(c.ctx, keyLogin)
			if err == nil || err.Error() != c.want || errors.Is(err, ErrNotAuthenticated) {
				t.Errorf("got %v; want %q, which is no refusal", err, c.want)
			}
			if c.cause == nil {
				return
			}
			endpoint := OAuth{c.cloud, oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: c.cloud.BaseURL}}}
			_, tokenErr := endpoint.Exchange(c.ctx, "code", "verifier")
			if !errors.Is(err, c.cause) || !errors.Is(tokenErr, c.cause) || tokenErr.Error() != c.want {
				t.Errorf("got %v, and for a code %v; want both to be %v, which callers ask for", err, tokenErr, c.cause)
			}
		})
	}
}

func TestTextFromElsewhereIsCutToALine(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"plain", 10, "plain"}, {"äöüß", 3, "äöü"}, {"a\nb\tc", 10, "a b c"}, {" \x1b]0;x\a ", 10, "]0;x"},
		{"a\u202eb", 10, "a b"}, {"\xff", 10, ""}, {"a\u00a0b", 10, "a b"}, {"", 10, ""},
	} {
		if got := printable(c.text, c.limit); got != c.want {
			t.Errorf("%q is shown as %q; want %q", c.text, got, c.want)
		}
	}
}

func TestOrganisationsAndProjects(t *testing.T) {
	asked := ""
	cloud := cloudWith(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.EscapedPath()
		fmt.Fprint(w, `{"data": {"items": [{"organization_id": "o1", "name": "One"},
			{"project_id": "p/2", "name": "Tw\u001bo", "is_default": true}]}}`)
	})
	want := []Choice{{ID: "o1", Name: "One"}, {ID: "p/2", Name: "Tw o", Default: true}}
	if got, err := cloud.Organisations(t.Context(), oauthLogin); err != nil || !slices.Equal(got, want) || asked != "/api/v1/orgs" {
		t.Errorf("got %+v, %v from %s; want %+v", got, err, asked, want)
	}
	got, err := cloud.Projects(t.Context(), oauthLogin, "a/b?c")
	if err != nil || !slices.Equal(got, want) || asked != "/api/v1/orgs/a%2Fb%3Fc/projects" {
		t.Errorf("got %+v, %v from %s; want the id escaped", got, err, asked)
	}
	for name, items := range map[string]string{
		"no id": `{"name": "x"}`, "a number": "7", "an id that a terminal would obey": `{"org_id": "o\u001b[31m"}`,
		"an id beyond reason": `{"org_id": "` + strings.Repeat("x", 201) + `"}`,
	} {
		const want = "Arcade Cloud gave an answer that makes no sense (HTTP status 200)"
		cloud := answering(t, 200, `{"data": {"items": [`+items+`]}}`)
		if _, err := cloud.Organisations(t.Context(), oauthLogin); err == nil || err.Error() != want {
			t.Errorf("%s gave %v; want %q", name, err, want)
		}
	}
	long := `{"data": {"items": [{"org_id": "o", "name": "` + strings.Repeat("x", 10<<10) + `"}]}}`
	if got, err := answering(t, 200, long).Organisations(t.Context(), oauthLogin); err != nil || len(got[0].Name) != maxNameLength {
		t.Errorf("a name of 10 kB gave %v; want it cut, the credentials file has an end", err)
	}
	if got, err := answering(t, 200, `{"data": null}`).Organisations(t.Context(), oauthLogin); err != nil || len(got) != 0 {
		t.Errorf("no list is %v, %v; want an empty one, as for the Python CLI", got, err)
	}
}

func TestChoosing(t *testing.T) {
	choices := []Choice{{ID: "1", Name: "a"}, {ID: "2", Name: "b", Default: true}, {ID: "3", Name: "a"}, {ID: "a", Name: "1"}}
	for id, among := range map[string][]Choice{"2": choices, "3": choices[2:], "": nil} {
		if c, ok := Preferred(among); c.ID != id || ok != (id != "") {
			t.Errorf("preferred %+v, %v among %+v; want the default, else the first: %q", c, ok, among, id)
		}
	}
	for word, want := range map[string]string{"1": "1", "b": "2", "a": "a", "c": ""} {
		got := ""
		for _, c := range Find(choices, word) {
			got += c.ID
		}
		if got != want {
			t.Errorf("%q means %q; want %q, an id before a name", word, got, want)
		}
	}
	if got := Find(choices[:3], "a"); len(got) != 2 {
		t.Errorf("the name of two means %+v; want both, to be told", got)
	}
}
