package identity

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
)

// DefaultCloudURL is Arcade Cloud unless the credentials name another.
const DefaultCloudURL = "https://" + DefaultCloudHost

// DefaultCloudHost is the host of DefaultCloudURL.
const DefaultCloudHost = "cloud.arcade.dev"

const (
	// maxCredentialsSize has room for a dozen contexts with two tokens of a few
	// kilobytes each, in bytes.
	maxCredentialsSize = 128 << 10
	// expiresEarly is how long before its end a token counts as expired, as in the
	// Python CLI: it must not expire on its way.
	expiresEarly = 5 * time.Minute
)

var (
	// ErrCredentialsInvalid says that credentials.yaml cannot be understood. It does not
	// quote the file, which is full of secrets.
	ErrCredentialsInvalid = errors.New("the credentials file is damaged")
	// ErrCredentialsNewer is an [ErrCredentialsInvalid] for YAML of an unknown shape.
	ErrCredentialsNewer = fmt.Errorf("%w or of a newer version", ErrCredentialsInvalid)
)

// Credentials is one login: an API key, or the tokens of an OAuth login. All
// values are opaque; "" stands for a value that the file lacks.
type Credentials struct {
	// Name is that of its context, "" in a file without contexts.
	Name string
	// Kind is [ArcadeCloud] or [SelfHosted]; see Credentials.SelfHosted.
	Kind                    string
	EngineURL, DashboardURL string
	// AccountID is the principal, as Arcade Cloud told the login.
	AccountID    string
	APIKey       string
	AccessToken  string
	RefreshToken string    // "" if the login ends with AccessToken
	ExpiresAt    time.Time // of AccessToken; zero when unknown
	Email        string
	// CoordinatorURL is the address of its Arcade Cloud as it was written; see CloudURL.
	CoordinatorURL string
	Context
}

// Context is the project to which secrets belong, and its organisation.
type Context struct {
	OrgID, OrgName         string
	ProjectID, ProjectName string
}

// Format hides the secrets, so that no print of a structure can leak them.
func (c Credentials) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "credentials of %q", c.Email) }

// Present reports whether there is a key or a token, expired or not.
func (c Credentials) Present() bool { return c.APIKey != "" || c.AccessToken != "" }

// Token is the API key, else the access token.
func (c Credentials) Token() string { return cmp.Or(c.APIKey, c.AccessToken) }

// Expired reports whether the access token ends within 5 minutes. API keys, and
// tokens of unknown expiry, do not.
func (c Credentials) Expired(now time.Time) bool { return c.left(now) <= expiresEarly }

// left is how long the credentials are good for.
func (c Credentials) left(now time.Time) time.Duration {
	if c.APIKey != "" || c.ExpiresAt.IsZero() {
		return math.MaxInt64
	}
	return c.ExpiresAt.Sub(now)
}

// CloudURL is the base URL of the Arcade Cloud that issued the credentials,
// without a final slash and without the path of its API, which some
// installations add. It is "" for a self-hosted login that names no Cloud.
func (c Credentials) CloudURL() string {
	if c.CoordinatorURL == "" {
		if c.SelfHosted() {
			return ""
		}
		return DefaultCloudURL
	}
	return baseOf(c.CoordinatorURL)
}

// baseOf takes the path of Arcade Cloud's API off an address.
func baseOf(address string) string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(address, "/"), "/api/v1"), "/")
}

// SelfHosted reports whether the login's installation has nothing to do with
// arcade.dev.
func (c Credentials) SelfHosted() bool { return c.kind() != ArcadeCloud }

// kind is Kind, or follows from the addresses in a file of a CLI without contexts, which
// lacks it: a login that names no Engine is one of Arcade Cloud.
func (c Credentials) kind() string {
	if c.Kind == "" && c.EngineURL != "" {
		return KindOf(c.EngineURL, c.CoordinatorURL)
	}
	return cmp.Or(c.Kind, ArcadeCloud)
}

// The kinds of installations, as credentials.yaml has them.
const (
	ArcadeCloud = "cloud"
	SelfHosted  = "self_hosted"
)

// KindOf returns the kind of an installation with these addresses.
func KindOf(addresses ...string) string {
	for _, address := range addresses {
		if u, err := url.Parse(address); err == nil && AtArcade(u.Hostname()) {
			return ArcadeCloud
		}
	}
	return SelfHosted
}

// AtArcade reports whether host is arcade.dev or below it.
func AtArcade(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "arcade.dev" || strings.HasSuffix(host, ".arcade.dev")
}

// Fingerprint identifies the credentials without revealing them; it is "" for none. It
// is a hash of the API key, else of Cloud URL and e-mail, since tokens change hourly.
// Without an e-mail it is a hash of the token: then Cloud is asked each hour, but no
// user is mistaken for another.
func (c Credentials) Fingerprint() string {
	switch {
	case c.APIKey != "":
		return fingerprint("api key", c.APIKey)
	case c.AccessToken == "":
		return ""
	case c.Email == "":
		return fingerprint("access token", c.AccessToken)
	}
	return fingerprint("account", strings.ToLower(c.CloudURL()), strings.ToLower(c.Email))
}

// fingerprint hashes a domain and values, each after its length, so that no two lists
// look alike. 128 bits are plenty to tell a user's credentials apart.
func fingerprint(values ...string) string {
	hashed := []byte("arcade credential fingerprint v1")
	for _, value := range values {
		hashed = binary.BigEndian.AppendUint64(hashed, uint64(len(value)))
		hashed = append(hashed, value...)
	}
	sum := sha256.Sum256(hashed)
	return hex.EncodeToString(sum[:16])
}

// parseExpiry reads what Python's datetime.isoformat() or str() writes: the local time
// unless there is an offset, with six digits of a second or none. It returns the zero
// time for anything else: then the server is the judge.
func parseExpiry(text string, local *time.Location) time.Time {
	text = strings.Replace(text, " ", "T", 1)
	// Parsing accepts fractions of a second after any layout's seconds.
	if expires, err := time.ParseInLocation("2006-01-02T15:04:05", text, local); err == nil {
		return expires
	}
	expires, _ := time.Parse(time.RFC3339, text)
	return expires
}

// pythonExpiry is ExpiresAt as the Python CLI writes it: the local time with six digits
// of a second and no zone, "" when it is unknown.
func (c Credentials) pythonExpiry() string {
	if c.ExpiresAt.IsZero() {
		return ""
	}
	return c.ExpiresAt.Local().Format("2006-01-02T15:04:05.000000")
}
