package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// DefaultCloudURL is Arcade Cloud when the credentials do not name another.
const DefaultCloudURL = "https://cloud.arcade.dev"

const (
	// maxCredentialsSize is far beyond any credentials file, in bytes: two
	// tokens of a few kilobytes. It also bounds the time the worst YAML of that
	// size takes, which grows with the square.
	maxCredentialsSize = 32 << 10
	// expiresEarly is how long before its time a token counts as expired, as
	// in the Python CLI, so that it does not expire under way.
	expiresEarly = 5 * time.Minute
)

// ErrCredentialsInvalid says that credentials.yaml is there but cannot be
// understood. It quotes nothing of it: the file is full of secrets.
var ErrCredentialsInvalid = errors.New("the credentials file is damaged")

// Credentials is what credentials.yaml holds, of either generation: an API key,
// or the tokens of an OAuth login. All values are opaque.
type Credentials struct {
	APIKey         string
	AccessToken    string
	ExpiresAt      time.Time // of AccessToken; zero when unknown
	Email          string
	CoordinatorURL string // "" for the default; see CloudURL
	OrgID          string // the project secrets belong to; both "" before OAuth
	ProjectID      string
}

// String hides the secrets, so that no print of a structure can leak them.
func (c Credentials) String() string { return fmt.Sprintf("credentials of %q", c.Email) }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// Present says whether there is anything to authenticate with, expired or not.
func (c Credentials) Present() bool { return c.APIKey != "" || c.AccessToken != "" }

// Expired says whether the access token has expired or will within 5 minutes.
// API keys, and tokens of unknown expiry, do not expire.
func (c Credentials) Expired(now time.Time) bool {
	return c.APIKey == "" && !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt.Add(-expiresEarly))
}

// CloudURL is the base URL of the Arcade Cloud that issued the credentials,
// without a slash at its end.
func (c Credentials) CloudURL() string {
	if c.CoordinatorURL == "" {
		return DefaultCloudURL
	}
	return strings.TrimRight(c.CoordinatorURL, "/")
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

// ReadCredentials reads credentials.yaml. A file that says nothing is no error
// and holds no credentials.
//
// The error is fs.ErrNotExist, [ErrCredentialsInvalid], or one that says why
// the file cannot be read.
func ReadCredentials(path string) (Credentials, error) {
	content, err := readCredentialsFile(path)
	if err != nil {
		return Credentials{}, err
	}
	c, _, err := decodeCredentials(content, time.Local)
	return c, err
}

func readCredentialsFile(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	content, err := readLimited(f, maxCredentialsSize)
	if errors.Is(err, errTooLarge) {
		return nil, ErrCredentialsInvalid
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return content, nil
}

// credentialsFile is the part of credentials.yaml that we know, of both
// generations. yaml gives any scalar to a string as it is written.
type credentialsFile struct {
	Cloud struct {
		CoordinatorURL string `yaml:"coordinator_url"`
		API            struct {
			Key string `yaml:"key"`
		} `yaml:"api"`
		User struct {
			Email string `yaml:"email"`
		} `yaml:"user"`
		Auth struct {
			AccessToken string `yaml:"access_token"`
			ExpiresAt   string `yaml:"expires_at"`
		} `yaml:"auth"`
		Context struct {
			OrgID     string `yaml:"org_id"`
			ProjectID string `yaml:"project_id"`
		} `yaml:"context"`
	} `yaml:"cloud"`
}

// decodeCredentials understands content, and returns the document too, for
// those who change it. Times without an offset are in local. The errors of the
// yaml package quote values, so none of them leaves here.
func decodeCredentials(content []byte, local *time.Location) (Credentials, *yaml.Node, error) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return Credentials{}, &document, nil
	} else if err != nil {
		return Credentials{}, nil, ErrCredentialsInvalid
	}
	if !errors.Is(decoder.Decode(&second), io.EOF) {
		return Credentials{}, nil, ErrCredentialsInvalid
	}
	var file credentialsFile
	if document.Decode(&file) != nil {
		return Credentials{}, nil, ErrCredentialsInvalid
	}
	cloud := file.Cloud
	return Credentials{
		APIKey:         cloud.API.Key,
		AccessToken:    cloud.Auth.AccessToken,
		ExpiresAt:      parseExpiry(cloud.Auth.ExpiresAt, local),
		Email:          cloud.User.Email,
		CoordinatorURL: cloud.CoordinatorURL,
		OrgID:          cloud.Context.OrgID,
		ProjectID:      cloud.Context.ProjectID,
	}, &document, nil
}

// parseExpiry reads what Python's datetime.isoformat() or str() writes: six
// digits of a second or none, and an offset only when the time had a zone;
// without one it is the local time of datetime.now(). The zero time stands for
// anything else: then the server is the judge.
func parseExpiry(text string, local *time.Location) time.Time {
	text = strings.Replace(text, " ", "T", 1)
	// Parsing accepts fractions of a second after any layout's seconds.
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, local); err == nil {
			return t
		}
	}
	return time.Time{}
}

// RemoveCredentials removes credentials.yaml, and what a killed login may have
// left of it. It is no error if there is nothing.
func RemoveCredentials(path string) error {
	err := remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, removeTemporaries(path)); err != nil {
		return fmt.Errorf("remove credentials: %w", err)
	}
	return nil
}

// WriteAPIKeyLogin makes credentials.yaml, of mode 0600, hold the login with
// apiKey, and creates its directory, of mode 0700, if it is missing. The former
// login's tokens and project go, they may be another person's; what else the
// file holds stays. The error can be [ErrCredentialsInvalid].
func WriteAPIKeyLogin(path, apiKey, email, coordinatorURL string) error {
	content, err := readCredentialsFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, document, err := decodeCredentials(content, time.Local)
	if err != nil {
		return err
	}
	content, err = encodeAPIKeyLogin(document, Credentials{APIKey: apiKey, Email: email, CoordinatorURL: coordinatorURL})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	if err := writeAtomically(path, content); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return nil
}
