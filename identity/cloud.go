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
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxAnswerSize is far beyond any answer, in bytes.
	maxAnswerSize = 1 << 20
	// callLimit bounds each call, as in the Python CLI.
	callLimit = 30 * time.Second
	// maxNameLength is where the name of an organisation or project is cut, in
	// characters: the credentials file, which keeps it, is bounded too.
	maxNameLength = 500
)

// Cloud is an Arcade Cloud to ask. Each call ends with its context, after 30 s at
// most.
type Cloud struct {
	// BaseURL is where it is, such as [DefaultCloudURL].
	BaseURL string
	// HTTP makes the calls. Its redirect policy is not used: only BaseURL gets a key.
	HTTP *http.Client
	// Server is what errors call it, "" for Arcade Cloud.
	Server string
}

// Cloud is the one that issued the credentials.
func (c Credentials) Cloud(client *http.Client) Cloud {
	return Cloud{BaseURL: c.CloudURL(), HTTP: client, Server: c.Server()}
}

// Server names the login's server in a sentence: an installation by its host.
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

// named puts the server's name into an error of a call.
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
	// Organisations and Projects are those of a login; Cloud may leave them out.
	Organisations, Projects []Choice
}

// Choice is an organisation or a project to work in. Its texts can be printed on
// a terminal.
type Choice struct {
	ID      string
	Name    string // can be "", and need not be unique
	Default bool
}

// Preferred returns the default choice, else the first, and false without any.
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

// CloudError is a call without a usable answer. Its text is made of fixed words
// and the status, never of what a server or the credentials say. It is
// [ErrNotAuthenticated] for the statuses 401 and 403, and [ErrStrongerLogin] with Stronger.
type CloudError struct {
	Server   string // its name in a sentence
	Status   int    // of HTTP, 0 without an answer
	Reason   string // what went wrong, if the status does not say it
	Page     bool   // a web page answered, which is never Cloud's word
	Stronger bool   // a passkey or an authenticator app is asked for
	cause    error  // why there was no answer; its text can hold a URL and is not shown
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

// Is says which errors it is.
func (e *CloudError) Is(target error) bool {
	if e.Stronger {
		return target == ErrStrongerLogin || target == ErrNotAuthenticated
	}
	return target == ErrNotAuthenticated && !e.Page && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// Unwrap returns context.Canceled or context.DeadlineExceeded if one of them
// ended the call, else the network's error, if any. Do not show it.
func (e *CloudError) Unwrap() error { return e.cause }

// WhoAmI returns the account of c, by its API key, else by its access token. The
// error is a [*CloudError], and [ErrNotAuthenticated] if c has neither.
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
	if token == "" || strings.ContainsFunc(token, unsendable) {
		return nil, ErrNotAuthenticated // it could not even be sent
	}
	return cloud.get(ctx, path, token)
}

// get makes one call, with a token if there is one, and returns the body of a 200.
func (cloud Cloud) get(ctx context.Context, path, token string) ([]byte, error) {
	body, err := cloud.request(ctx, path, token)
	return body, cloud.named(err)
}

func (cloud Cloud) request(ctx context.Context, path, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(cloud.BaseURL, "/")+path, nil)
	if err != nil || !isSafe(request.URL) {
		return nil, &CloudError{Reason: "has an address that is no URL with https://"}
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

// wantsStronger reports a 401 to too weak a login.
func wantsStronger(response *http.Response) bool {
	challenges := strings.Join(response.Header.Values("WWW-Authenticate"), ",")
	return response.StatusCode == http.StatusUnauthorized && strings.Contains(challenges, insufficient)
}

// isSafe reports whether u is an address on the way to which a secret cannot be read.
func isSafe(u *url.URL) bool {
	return canBeHost(u) && u.User == nil && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u))
}

func canBeHost(u *url.URL) bool {
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "443"), 10, 16)
	return err == nil && port > 0 && u.Hostname() != "" && !strings.ContainsFunc(u.Host, unsendable) &&
		!strings.Contains("."+u.Hostname(), "..")
}

// isLoopback reports whether u is on this machine.
func isLoopback(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	address, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && address.IsLoopback()
}

// client is HTTP without redirects, each of which is a wrong answer.
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

// nonsense is the error for an answer of an unknown shape.
func nonsense() *CloudError {
	return &CloudError{Status: http.StatusOK, Reason: senseless}
}

// decodeAccount understands both calls: validate names the principal_id, whoami
// the account_id, and in older versions the principal_id.
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

// isUnmet reports strong authentication that is asked for and missing.
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
		id := cmp.Or(item.ProjectID, item.OrgID, item.OrgIDToo)
		if id == "" || utf8.RuneCountInString(id) > maxIDLength || strings.ContainsFunc(id, unprintable) {
			return nil, nonsense()
		}
		choices = append(choices, Choice{id, printable(item.Name, maxNameLength), item.Default})
	}
	return choices, nil
}
