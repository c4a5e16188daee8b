package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxAnswerSize is far larger than any answer, in bytes.
	maxAnswerSize = 1 << 20
	// callLimit bounds each call, as in the Python CLI.
	callLimit = 30 * time.Second
	// maxNameLength is where the name of an organisation or project is cut, in
	// characters: the size of the credentials file, which keeps it, is bounded, too.
	maxNameLength = 500
	// maxEmailLength is where an e-mail address is cut, in characters (RFC 5321).
	maxEmailLength = 254
)

// Cloud asks an Arcade Cloud. Each call ends with its context, after 30 s at most.
type Cloud struct {
	// BaseURL is where it is, such as [DefaultCloudURL].
	BaseURL string
	// HTTP makes the calls, without its redirect policy: only BaseURL gets a key.
	HTTP *http.Client
	// Server is what errors call it, "" for Arcade Cloud.
	Server string
}

// Cloud is the Arcade Cloud that issued the credentials.
func (c Credentials) Cloud(client *http.Client) Cloud {
	return Cloud{BaseURL: c.CloudURL(), HTTP: client, Server: c.Server()}
}

// Server is what a sentence calls the login's server: an installation by its host.
func (c Credentials) Server() string {
	if !c.SelfHosted() {
		return arcadeCloud
	}
	if u, err := url.Parse(cmp.Or(c.CloudURL(), c.EngineURL)); err == nil && u.Host != "" {
		return printable(u.Host, maxNameLength)
	}
	return "your installation"
}

const arcadeCloud = "Arcade Cloud"

// Account is the person or machine that credentials belong to.
type Account struct {
	PrincipalID string
	Email       string // "" when unknown, as always for an API key
	// Organisations and Projects are those of a login; Cloud may leave them out.
	Organisations, Projects []Choice
}

// Choice is an organisation or a project to work in. Its texts are safe to print on
// a terminal.
type Choice struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // can be "", and need not be unique
	Default bool   `json:"is_default"`
}

// UnmarshalJSON reads a choice as Arcade Cloud sends it, or as it was kept. It fails
// without a usable id.
func (c *Choice) UnmarshalJSON(text []byte) error {
	var told struct {
		ID           string `json:"id"`
		Org          string `json:"org_id"`
		Organization string `json:"organization_id"`
		Project      string `json:"project_id"`
		Name         string `json:"name"`
		Default      bool   `json:"is_default"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return err
	}
	id := cmp.Or(told.Project, told.Org, told.Organization, told.ID)
	if id == "" || utf8.RuneCountInString(id) > maxIDLength || strings.ContainsFunc(id, unprintable) {
		return errors.New("no usable id")
	}
	*c = Choice{id, printable(told.Name, maxNameLength), told.Default}
	return nil
}

// Preferred returns the default choice, else the first, and false without any.
func Preferred(choices []Choice) (Choice, bool) {
	if len(choices) == 0 {
		return Choice{}, false
	}
	at := slices.IndexFunc(choices, func(c Choice) bool { return c.Default })
	return choices[max(at, 0)], true
}

// Find returns the choice with this id, else all with this name.
func Find(choices []Choice, word string) []Choice {
	var named []Choice
	for _, c := range choices {
		switch word {
		case c.ID:
			return []Choice{c}
		case c.Name:
			named = append(named, c)
		}
	}
	return named
}

// ErrNotAuthenticated says that Arcade Cloud does not accept the credentials.
var ErrNotAuthenticated = errors.New("not authenticated")

// ErrLoginEnded says that the tokens cannot be renewed: the user has to log in again.
var ErrLoginEnded = errors.New("the login has ended")

// ErrStrongerLogin says that the organization asks for a passkey or an
// authenticator app. It is an [ErrLoginEnded]: renewing does not help.
var ErrStrongerLogin = fmt.Errorf("%w: a passkey or an authenticator app is asked for", ErrLoginEnded)

// CloudError is a call without a usable answer. Its text consists of fixed words and
// the status, and quotes neither the server nor the credentials. It can be an
// [ErrNotAuthenticated], an [ErrLoginEnded] and an [ErrStrongerLogin].
type CloudError struct {
	Server   string // what a sentence calls it, "" for Arcade Cloud
	Status   int    // of HTTP, 0 without an answer
	Reason   string // what went wrong, if the status does not say it
	Page     bool   // the answer is a web page, and so not Cloud's
	Stronger bool   // it asks for a passkey or an authenticator app
	grant    bool   // it refuses the code or the refresh token
	cause    error  // why there was no answer; its text can contain a URL and is not shown
}

func (e *CloudError) Error() string {
	server := cmp.Or(e.Server, arcadeCloud)
	switch {
	case e.Reason == "":
		return fmt.Sprintf("%s answered with HTTP status %d", server, e.Status)
	case e.Status == 0:
		return server + " " + e.Reason
	}
	return fmt.Sprintf("%s %s (HTTP status %d)", server, e.Reason, e.Status)
}

// Is implements the interface of errors.Is.
func (e *CloudError) Is(target error) bool {
	switch target {
	case ErrStrongerLogin:
		return e.Stronger
	case ErrLoginEnded:
		return e.Stronger || e.grant
	case ErrNotAuthenticated:
		return e.Stronger || !e.Page && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
	}
	return false
}

// Unwrap returns context.Canceled or context.DeadlineExceeded if one of them
// ended the call, else the network's error, if any. Do not show it.
func (e *CloudError) Unwrap() error { return e.cause }

// WhoAmI returns the account of c, by its API key, else by its access token. The
// error is a [*CloudError], or [ErrNotAuthenticated] if c has neither.
func (cloud Cloud) WhoAmI(ctx context.Context, c Credentials) (Account, error) {
	path := "/api/v1/auth/whoami"
	if c.APIKey != "" {
		path = "/api/v1/auth/validate"
	}
	var answer struct {
		MFA  any `json:"mfa"`
		Data struct {
			AccountID     string   `json:"account_id"`
			PrincipalID   string   `json:"principal_id"` // of validate, and of older versions of whoami
			Email         string   `json:"email"`
			Organisations []Choice `json:"organizations"`
			Projects      []Choice `json:"projects"`
			MFA           any      `json:"mfa"`
		} `json:"data"`
	}
	if err := cloud.ask(ctx, path, c, &answer); err != nil {
		return Account{}, err
	}
	data := answer.Data
	principal := cmp.Or(data.AccountID, data.PrincipalID)
	switch {
	case isUnmet(answer.MFA) || isUnmet(data.MFA):
		return Account{}, &CloudError{Server: cloud.Server, Status: http.StatusOK, Stronger: true}
	case !validPrincipalID(principal):
		return Account{}, cloud.nonsense()
	}
	return Account{principal, printable(data.Email, maxEmailLength), data.Organisations, data.Projects}, nil
}

// isUnmet reports that strong authentication is asked for and missing.
func isUnmet(mfa any) bool {
	answer, _ := mfa.(map[string]any)
	return answer["status"] == "unmet"
}

// Organisations returns those that c gives access to. The errors are those of
// [Cloud.WhoAmI].
func (cloud Cloud) Organisations(ctx context.Context, c Credentials) ([]Choice, error) {
	return cloud.choices(ctx, "/api/v1/orgs", c)
}

// Projects returns those of an organisation. The errors are those of [Cloud.WhoAmI].
func (cloud Cloud) Projects(ctx context.Context, c Credentials, orgID string) ([]Choice, error) {
	return cloud.choices(ctx, "/api/v1/orgs/"+url.PathEscape(orgID)+"/projects", c)
}

func (cloud Cloud) choices(ctx context.Context, path string, c Credentials) ([]Choice, error) {
	var answer struct {
		Data struct {
			Items []Choice `json:"items"`
		} `json:"data"`
	}
	err := cloud.ask(ctx, path, c, &answer)
	return answer.Data.Items, err
}

// ask makes a call with credentials, unless a header cannot contain them.
func (cloud Cloud) ask(ctx context.Context, path string, c Credentials, answer any) error {
	token := c.Token()
	if token == "" || strings.ContainsFunc(token, unsendable) {
		return ErrNotAuthenticated
	}
	return cloud.get(ctx, path, token, answer)
}

// get makes one call, with a token unless that is "", and decodes the JSON of a 200
// into answer. The error is a [*CloudError].
func (cloud Cloud) get(ctx context.Context, path, token string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(cloud.BaseURL, "/")+path, nil)
	if err != nil || !isSafe(request.URL) {
		return &CloudError{Server: cloud.Server, Reason: "has an address that is no URL with https://"}
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Accept", "application/json")
	response, err := cloud.client().Do(request)
	if err != nil {
		return cloud.unreachable(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerSize+1))
	page := isPage(response.Header.Get("Content-Type"), body)
	switch {
	case response.StatusCode != http.StatusOK:
		return &CloudError{Server: cloud.Server, Status: response.StatusCode, Page: page, Stronger: wantsStronger(response)}
	case err != nil:
		return cloud.unreachable(ctx, err)
	case page || len(body) > maxAnswerSize || json.Unmarshal(body, answer) != nil:
		return &CloudError{Server: cloud.Server, Status: http.StatusOK, Page: page, Reason: senseless}
	}
	return nil
}

const senseless = "gave an answer that makes no sense"

// nonsense returns the error for an answer of an unknown shape.
func (cloud Cloud) nonsense() *CloudError {
	return &CloudError{Server: cloud.Server, Status: http.StatusOK, Reason: senseless}
}

// unreachable returns the error for a call that ended with err.
func (cloud Cloud) unreachable(ctx context.Context, err error) *CloudError {
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded):
		return &CloudError{Server: cloud.Server, Reason: "did not answer in time", cause: context.DeadlineExceeded}
	case ended != nil:
		return &CloudError{Server: cloud.Server, Reason: "was not waited for", cause: context.Canceled}
	}
	return &CloudError{Server: cloud.Server, Reason: "cannot be reached", cause: err}
}

// insufficient is the error of a 401 that asks for a stronger login (RFC 9470).
const insufficient = "insufficient_user_authentication"

func wantsStronger(response *http.Response) bool {
	challenges := strings.Join(response.Header.Values("WWW-Authenticate"), ",")
	return response.StatusCode == http.StatusUnauthorized && strings.Contains(challenges, insufficient)
}

// isSafe reports whether a secret cannot be read on its way to u.
func isSafe(u *url.URL) bool {
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	isHost := u.Hostname() != "" && !strings.ContainsFunc(u.Host, unsendable) && !strings.Contains("."+u.Hostname(), "..")
	private := u.Scheme == "https" || u.Scheme == "http" && isLoopback(u)
	return err == nil && port > 0 && isHost && private && u.User == nil && u.Fragment == ""
}

func isLoopback(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	address, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && address.IsLoopback()
}

// client returns a client like HTTP that takes a redirect for a wrong answer.
func (cloud Cloud) client() *http.Client {
	client := *cloud.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// isPage recognises a web page by its type or its first character.
func isPage(contentType string, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "text/html" || kind == "application/xhtml+xml" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}
