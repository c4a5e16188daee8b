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

// DefaultCloudURL is Arcade Cloud when the credentials do not name another.
const DefaultCloudURL = "https://" + DefaultCloudHost

// DefaultCloudHost is its host.
const DefaultCloudHost = "cloud.arcade.dev"

const (
	// maxCredentialsSize is far beyond any credentials file, in bytes: a dozen
	// contexts with two tokens of a few kilobytes each. It also bounds the time
	// the worst YAML of that size takes, which grows with the square.
	maxCredentialsSize = 128 << 10
	// expiresEarly is how long before its time a token counts as expired, as
	// in the Python CLI, so that it does not expire under way.
	expiresEarly = 5 * time.Minute
)

var (
	// ErrCredentialsInvalid says that credentials.yaml is there but cannot be
	// understood. It quotes nothing of it: the file is full of secrets.
	ErrCredentialsInvalid = errors.New("the credentials file is damaged")
	// ErrCredentialsNewer is an [ErrCredentialsInvalid] for a file that is
	// whole, but has another shape than this version knows.
	ErrCredentialsNewer = fmt.Errorf("%w or of a newer version", ErrCredentialsInvalid)
)

// Credentials is one login: an API key, or the tokens of an OAuth login. All
// values are opaque.
type Credentials struct {
	// Name is that of its context, "" in a file that knows no contexts.
	Name string
	// Kind is "cloud" or "self_hosted", "" where the file does not say; see SelfHosted.
	Kind                    string
	EngineURL, DashboardURL string // "" where the file does not say
	// AccountID is the principal that login asked for, "" when unknown.
	AccountID    string
	APIKey       string
	AccessToken  string
	RefreshToken string    // "" when the login ends with AccessToken
	ExpiresAt    time.Time // of AccessToken; zero when unknown
	// wall is ExpiresAt as the file has it: the time a clock on the wall shows,
	// as if it were UTC. Zero when the file names a zone.
	wall           time.Time
	Email          string
	CoordinatorURL string // "" for the default; see CloudURL
	Context
}

// Context is the project that secrets belong to, and its organisation; all ids
// are "" before OAuth.
type Context struct {
	OrgID, OrgName         string
	ProjectID, ProjectName string
}

// String hides the secrets, so that no print of a structure can leak them.
func (c Credentials) String() string { return fmt.Sprintf("credentials of %q", c.Email) }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// Present says whether there is anything to authenticate with, expired or not.
func (c Credentials) Present() bool { return c.APIKey != "" || c.AccessToken != "" }

// Token is what to authenticate with, the API key if there is one.
func (c Credentials) Token() string { return cmp.Or(c.APIKey, c.AccessToken) }

// Expired says whether the access token has expired or will within 5 minutes.
// API keys, and tokens of unknown expiry, do not expire.
func (c Credentials) Expired(now time.Time) bool { return c.left(now) <= expiresEarly }

// left is how long the credentials are good for, as the Python CLI reckons:
// it takes the times of two clocks on the wall, whatever the zone did between.
func (c Credentials) left(now time.Time) time.Duration {
	switch {
	case c.APIKey != "" || c.ExpiresAt.IsZero():
		return math.MaxInt64
	case c.wall.IsZero():
		return c.ExpiresAt.Sub(now)
	}
	return c.wall.Sub(wallClock(now.In(c.ExpiresAt.Location())))
}

// lasting returns c with an access token that is good for d from now on.
func (c Credentials) lasting(d time.Duration, now time.Time) Credentials {
	c.wall = wallClock(now).Add(d).Truncate(time.Microsecond)
	c.ExpiresAt = onWall(c.wall, now.Location())
	return c
}

// wallClock is what a clock on the wall shows at t, as if it were UTC.
func wallClock(t time.Time) time.Time { return onWall(t, time.UTC) }

func onWall(t time.Time, zone *time.Location) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
}

// CloudURL is the base URL of the Arcade Cloud that issued the credentials,
// without a slash at its end, and without the path of its API that some
// installations name with it. It is "" for a self-hosted login that names none.
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

// SelfHosted says whether the login belongs to an installation that has
// nothing to do with arcade.dev. A file of a CLI without contexts does not say,
// and is one of Arcade Cloud's unless it names an Engine.
func (c Credentials) SelfHosted() bool {
	if c.Kind == "" && c.EngineURL != "" {
		return KindOf(c.EngineURL, c.CoordinatorURL) == SelfHosted
	}
	return c.Kind != "" && c.Kind != ArcadeCloud
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

// AtArcade says whether host is arcade.dev or below it.
func AtArcade(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "arcade.dev" || strings.HasSuffix(host, ".arcade.dev")
}

// Fingerprint identifies the credentials without revealing them, "" for none.
// It is a hash of the API key, else of Cloud URL and e-mail: tokens change
// hourly, the person behind them does not. Without an e-mail it has to be the
// token, which asks Cloud again each hour but mistakes nobody for another.
func (c Credentials) Fingerprint() string {
	switch {
	case c.APIKey != "":
		return FingerprintKey(c.APIKey)
	case c.AccessToken == "":
		return ""
	case c.Email == "":
		return fingerprint("access token", c.AccessToken)
	}
	return fingerprint("account", strings.ToLower(c.CloudURL()), strings.ToLower(c.Email))
}

// FingerprintKey is the fingerprint of an API key, "" for none, wherever the
// key was found: the same key in the environment and in the file is one.
func FingerprintKey(apiKey string) string {
	if apiKey == "" {
		return ""
	}
	return fingerprint("api key", apiKey)
}

// fingerprint hashes a domain and values, each with its length before it, so
// that no two lists look alike. 128 bits are plenty to tell a person's
// credentials apart.
func fingerprint(values ...string) string {
	hashed := []byte("arcade credential fingerprint v1")
	for _, value := range values {
		hashed = binary.BigEndian.AppendUint64(hashed, uint64(len(value)))
		hashed = append(hashed, value...)
	}
	sum := sha256.Sum256(hashed)
	return hex.EncodeToString(sum[:16])
}

// parseExpiry reads what Python's datetime.isoformat() or str() writes: six
// digits of a second or none, and an offset only when the time had a zone;
// without one it is the local time of datetime.now(), and wall says what it
// shows. The zero time stands for anything else: then the server is the judge.
func parseExpiry(text string, local *time.Location) (expires, wall time.Time) {
	text = strings.Replace(text, " ", "T", 1)
	// Parsing accepts fractions of a second after any layout's seconds.
	if wall, err := time.Parse("2006-01-02T15:04:05", text); err == nil {
		return onWall(wall, local), wall
	}
	if expires, err := time.Parse(time.RFC3339, text); err == nil {
		return expires, time.Time{}
	}
	return time.Time{}, time.Time{}
}

// pythonExpiry is when c expires, as the Python CLI writes it: the local time
// with six digits of a second and no zone. "" when it is unknown.
func (c Credentials) pythonExpiry() string {
	at := c.wall
	if c.ExpiresAt.IsZero() {
		return ""
	}
	if at.IsZero() {
		at = wallClock(c.ExpiresAt.Local())
	}
	return at.Format("2006-01-02T15:04:05.000000")
}
