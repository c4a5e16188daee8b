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
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxAnswerSize is far beyond any answer, in bytes.
	maxAnswerSize = 1 << 20
	// callLimit bounds each call, as in the Python CLI.
	callLimit = 30 * time.Second
	// maxNameLength is that of an organisation or project, in characters. It
	// goes into the credentials file, which is bounded too.
	maxNameLength = 500
)

// Cloud is Arcade Cloud, asked who somebody is. Each call takes as long as its
// context lets it, and 30 s at most.
type Cloud struct {
	// BaseURL is where it is, such as [DefaultCloudURL].
	BaseURL string
	// HTTP makes the calls. Its redirect policy is not used: a key is shown to
	// nobody but BaseURL.
	HTTP *http.Client
	// Server is what errors call it, "" for Arcade Cloud.
	Server string
}

// Cloud is the one that issued the credentials.
func (c Credentials) Cloud(client *http.Client) Cloud {
	return Cloud{BaseURL: c.CloudURL(), HTTP: client, Server: c.Server()}
}

// Server is what sentences call the server of the login: an installation by its
// host.
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

// named says in an error of a call whose it is.
func (cloud Cloud) named(err error) error {
	var failed *CloudError
	if errors.As(err, &failed) {
		failed.Server = cmp.Or(cloud.Server, arcadeCloud)
	}
	return err
}

// Account is the person or machine that credentials belong to.
type Account struct {
	PrincipalID string
	Email       string // "" when unknown, as always for an API key
	// Organisations and Projects are those of a login; Cloud may leave out
	// either.
	Organisations, Projects []Choice
}

// Choice is an organisation or a project that somebody may work in. Its texts
// can be printed on a terminal.
type Choice struct {
	ID      string
	Name    string // perhaps "", and perhaps not the only one of this name
	Default bool
}

// Preferred returns the default among choices, else the first, and false when
// there is none.
func Preferred(choices []Choice) (Choice, bool) {
	for _, c := range choices {
		if c.Default {
			return c, true
		}
	}
	if len(choices) == 0 {
		return Choice{}, false
	}
	return choices[0], true
}

// Find returns the choices that word may mean: the one with this id, else all
// with this name.
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

// ErrLoginEnded says that the tokens cannot be renewed any more: the person
// has to log in again.
var ErrLoginEnded = errors.New("the login has ended")

// ErrStrongerLogin says that the organization wants a login with a passkey or an
// authenticator app. It is an [ErrLoginEnded]: renewing does not help.
var ErrStrongerLogin = fmt.Errorf("%w: a passkey or an authenticator app is asked for", ErrLoginEnded)

// CloudError is a call that gave no answer. Its text is made of fixed words
// and the status, never of anything the server or the credentials hold. It is
// [ErrNotAuthenticated] for the statuses 401 and 403, and [ErrStrongerLogin] with Stronger.
type CloudError struct {
	// Server is what a sentence calls it.
	Server string
	// Status is the HTTP status, 0 when there was none.
	Status int
	// Reason is what went wrong when the status does not say it.
	Reason string
	// Page says that a web page came, which is never Cloud's word.
	Page bool
	// Stronger says that a passkey or an authenticator app is asked for.
	Stronger bool
	// cause lets callers tell why there was no answer. Its text, which can hold
	// a URL, is not shown.
	cause error
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

// Is reports what means "not authenticated".
func (e *CloudError) Is(target error) bool {
	if e.Stronger {
		return target == ErrStrongerLogin || target == ErrNotAuthenticated
	}
	return target == ErrNotAuthenticated && !e.Page && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// Unwrap returns context.Canceled or context.DeadlineExceeded if one of them
// ended the call, else the network's error, if there was one. Neither may be
// shown.
func (e *CloudError) Unwrap() error { return e.cause }

// Principal returns the principal that c belongs to. The error is a
// [*CloudError], and [ErrNotAuthenticated] if there is nothing in c to show.
func (cloud Cloud) Principal(ctx context.Context, c Credentials) (string, error) {
	account, err := cloud.WhoAmI(ctx, c)
	return account.PrincipalID, err
}

// WhoAmI returns the account that c belongs to, by its API key, else by its
// access token. The errors are those of [Cloud.Principal].
func (cloud Cloud) WhoAmI(ctx context.Context, c Credentials) (Account, error) {
	path := "/api/v1/auth/whoami"
	if c.APIKey != "" {
		path = "/api/v1/auth/validate"
	}
	body, err := cloud.ask(ctx, path, c)
	if err != nil {
		return Account{}, err
	}
	account, err := decodeAccount(body)
	return account, cloud.named(err)
}

// Organisations returns the organisations that c gives access to. The errors
// are those of [Cloud.Principal].
func (cloud Cloud) Organisations(ctx context.Context, c Credentials) ([]Choice, error) {
	return cloud.choices(ctx, "/api/v1/orgs", c)
}

// Projects returns the projects of an organisation. The errors are those of
// [Cloud.Principal].
func (cloud Cloud) Projects(ctx context.Context, c Credentials, orgID string) ([]Choice, error) {
	return cloud.choices(ctx, "/api/v1/orgs/"+url.PathEscape(orgID)+"/projects", c)
}

func (cloud Cloud) choices(ctx context.Context, path string, c Credentials) ([]Choice, error) {
	body, err := cloud.ask(ctx, path, c)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Items []choice `json:"items"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, cloud.named(nonsense())
	}
	found, err := decodeChoices(answer.Data.Items)
	return found, cloud.named(err)
}

// ask makes a call with credentials.
func (cloud Cloud) ask(ctx context.Context, path string, c Credentials) ([]byte, error) {
	token := c.Token()
	if token == "" || strings.ContainsFunc(token, notInAKey) {
		return nil, ErrNotAuthenticated // it could not even be sent
	}
	return cloud.get(ctx, path, token)
}

// get makes one call, with a token if there is one, and returns the body of a
// 200.
func (cloud Cloud) get(ctx context.Context, path, token string) ([]byte, error) {
	body, err := cloud.request(ctx, path, token)
	return body, cloud.named(err)
}

func (cloud Cloud) request(ctx context.Context, path, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(cloud.BaseURL, "/")+path, nil)
	if err != nil || request.URL.Hostname() == "" || request.URL.User != nil {
		return nil, &CloudError{Reason: "has an address that is no URL"}
	}
	if request.URL.Scheme != "https" && !isLoopback(request.URL) {
		return nil, &CloudError{Reason: "has an address that is not reached by https"}
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Accept", "application/json")
	response, err := cloud.client().Do(request)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerSize+1))
	page := isPage(response.Header.Get("Content-Type"), body)
	switch {
	case response.StatusCode != http.StatusOK:
		return nil, &CloudError{Status: response.StatusCode, Page: page, Stronger: wantsStronger(response)}
	case err != nil:
		return nil, unreachable(ctx, err)
	case page || len(body) > maxAnswerSize:
		return nil, &CloudError{Status: http.StatusOK, Page: page, Reason: senseless}
	}
	return body, nil
}

// insufficient is the error of a 401 to a token of too weak a login (RFC 9470).
const insufficient = "insufficient_user_authentication"

// wantsStronger says whether a stronger login is the reason of a 401.
func wantsStronger(response *http.Response) bool {
	challenges := strings.Join(response.Header.Values("WWW-Authenticate"), ",")
	return response.StatusCode == http.StatusUnauthorized && strings.Contains(challenges, insufficient)
}

// isLoopback says whether u is on this machine, so that nobody else can read
// what is sent there.
func isLoopback(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	address, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && address.IsLoopback()
}

// client is HTTP without redirects: a redirect is an answer, and a wrong one.
func (cloud Cloud) client() *http.Client {
	client := *cloud.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// isPage tells a page for people, by its type or its first character.
func isPage(contentType string, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "text/html" || kind == "application/xhtml+xml" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// unreachable is the error for a call that ended with err.
func unreachable(ctx context.Context, err error) error {
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.DeadlineExceeded):
		return &CloudError{Reason: "did not answer in time", cause: context.DeadlineExceeded}
	case ended != nil:
		return &CloudError{Reason: "was not waited for", cause: context.Canceled}
	}
	return &CloudError{Reason: "cannot be reached", cause: err}
}

const senseless = "gave an answer that makes no sense"

// nonsense is the error for an answer that is not understood.
func nonsense() *CloudError {
	return &CloudError{Status: http.StatusOK, Reason: senseless}
}

// decodeAccount understands the answer of either call: validate names the
// principal_id, whoami the account_id, and its older versions the principal_id.
func decodeAccount(body []byte) (Account, error) {
	var answer struct {
		MFA  json.RawMessage `json:"mfa"`
		Data struct {
			AccountID     string          `json:"account_id"`
			PrincipalID   string          `json:"principal_id"`
			Email         string          `json:"email"`
			Organisations []choice        `json:"organizations"`
			Projects      []choice        `json:"projects"`
			MFA           json.RawMessage `json:"mfa"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return Account{}, nonsense()
	}
	if isUnmet(answer.MFA) || isUnmet(answer.Data.MFA) {
		return Account{}, &CloudError{Status: http.StatusOK, Stronger: true}
	}
	data := answer.Data
	account := Account{PrincipalID: cmp.Or(data.AccountID, data.PrincipalID), Email: printable(data.Email, maxEmailLength)}
	if !validPrincipalID(account.PrincipalID) {
		return Account{}, nonsense()
	}
	var err error
	if account.Organisations, err = decodeChoices(data.Organisations); err != nil {
		return Account{}, err
	}
	if account.Projects, err = decodeChoices(data.Projects); err != nil {
		return Account{}, err
	}
	return account, nil
}

// isUnmet understands whether strong authentication is asked for and was not shown.
func isUnmet(mfa json.RawMessage) bool {
	var answer struct {
		Status string `json:"status"`
	}
	return json.Unmarshal(mfa, &answer) == nil && answer.Status == "unmet"
}

// choice is an organisation or a project on the wire.
type choice struct {
	OrgID     string `json:"org_id"`
	OrgIDToo  string `json:"organization_id"`
	ProjectID string `json:"project_id"`
	Name      string `json:"name"`
	Default   bool   `json:"is_default"`
}

func decodeChoices(items []choice) ([]Choice, error) {
	choices := make([]Choice, 0, len(items))
	for _, item := range items {
		c := Choice{cmp.Or(item.ProjectID, item.OrgID, item.OrgIDToo), printable(item.Name, maxAnswerSize), item.Default}
		switch {
		case utf8.RuneCountInString(c.Name) > maxNameLength:
			return nil, &CloudError{Status: http.StatusOK, Reason: fmt.Sprintf("gave an organization or project a name of more than %d characters", maxNameLength)}
		case c.ID == "", utf8.RuneCountInString(c.ID) > maxIDLength, strings.ContainsFunc(c.ID, unprintable):
			return nil, nonsense()
		}
		choices = append(choices, c)
	}
	return choices, nil
}
