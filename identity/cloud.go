package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxAnswerSize is far beyond any answer of the two calls, in bytes.
const maxAnswerSize = 1 << 20

// Cloud is Arcade Cloud, asked who somebody is. Each call takes as long as its
// context lets it.
type Cloud struct {
	// BaseURL is where it is, such as [DefaultCloudURL].
	BaseURL string
	// HTTP makes the calls. Its redirect policy is not used: a key is shown to
	// nobody but BaseURL.
	HTTP *http.Client
}

// Account is the person or machine that credentials belong to.
type Account struct {
	PrincipalID string
	Email       string // "" when unknown, as always for an API key
}

// ErrNotAuthenticated says that Arcade Cloud does not accept the credentials.
var ErrNotAuthenticated = errors.New("not authenticated")

// CloudError is a call that gave no answer. Its text is made of fixed words
// and the status, never of anything the server or the credentials hold. It is
// [ErrNotAuthenticated] for the statuses 401 and 403.
type CloudError struct {
	// Status is the HTTP status, 0 when there was none.
	Status int
	// Reason is what went wrong when the status does not say it.
	Reason string
	// cause lets callers tell a time-out and an interrupt from the rest. Its
	// text, which can hold a URL, is not shown.
	cause error
}

func (e *CloudError) Error() string {
	switch {
	case e.Reason == "":
		return fmt.Sprintf("Arcade Cloud answered with HTTP status %d", e.Status)
	case e.Status == 0:
		return "Arcade Cloud " + e.Reason
	}
	return fmt.Sprintf("Arcade Cloud %s (HTTP status %d)", e.Reason, e.Status)
}

// Is reports the statuses that mean "not authenticated".
func (e *CloudError) Is(target error) bool {
	return target == ErrNotAuthenticated && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// Unwrap returns context.Canceled or context.DeadlineExceeded if one of them
// ended the call, else nil.
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
	switch {
	case c.APIKey != "":
		return cloud.ask(ctx, "/api/v1/auth/validate", c.APIKey)
	case c.AccessToken != "":
		return cloud.ask(ctx, "/api/v1/auth/whoami", c.AccessToken)
	}
	return Account{}, ErrNotAuthenticated
}

func (cloud Cloud) ask(ctx context.Context, path, token string) (Account, error) {
	if strings.ContainsFunc(token, notInAKey) {
		return Account{}, ErrNotAuthenticated // it could not even be sent
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(cloud.BaseURL, "/")+path, nil)
	if err != nil {
		return Account{}, &CloudError{Reason: "has an address that is no URL"}
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json")
	response, err := cloud.client().Do(request)
	if err != nil {
		return Account{}, unreachable(ctx)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Account{}, &CloudError{Status: response.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerSize+1))
	if err != nil {
		return Account{}, unreachable(ctx)
	}
	account, ok := decodeAccount(body)
	if !ok {
		return Account{}, &CloudError{Status: response.StatusCode, Reason: "gave an answer that makes no sense"}
	}
	return account, nil
}

// client is HTTP without redirects: a redirect is an answer, and a wrong one.
func (cloud Cloud) client() *http.Client {
	client := *cloud.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func unreachable(ctx context.Context) error {
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return &CloudError{Reason: "did not answer in time", cause: context.DeadlineExceeded}
	case err != nil:
		return &CloudError{Reason: "was not waited for", cause: context.Canceled}
	}
	return &CloudError{Reason: "cannot be reached"}
}

// decodeAccount understands the answer of either call: validate names the
// principal_id, whoami the account_id, and its older versions the principal_id.
func decodeAccount(body []byte) (Account, bool) {
	var answer struct {
		Data struct {
			AccountID   string `json:"account_id"`
			PrincipalID string `json:"principal_id"`
			Email       string `json:"email"`
		} `json:"data"`
	}
	if len(body) > maxAnswerSize || json.Unmarshal(body, &answer) != nil {
		return Account{}, false
	}
	id := cmp.Or(answer.Data.AccountID, answer.Data.PrincipalID)
	if !validPrincipalID(id) {
		return Account{}, false
	}
	return Account{PrincipalID: id, Email: printable(answer.Data.Email, maxEmailLength)}, true
}
