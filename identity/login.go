package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"go.yaml.in/yaml/v3"
)

const (
	// tornPatience is how long a file that looks half written is read again.
	// The Python CLI truncates it and then writes; that takes milliseconds.
	tornPatience = 200 * time.Millisecond
	// tornAge is how old a file may be to count as just being written.
	tornAge = 2 * time.Second
	// lockPause is the time between two looks at a lock that is held.
	lockPause = 5 * time.Millisecond
	// lockPatience is that of a change of the file: the limit of a renewal
	// that another process makes meanwhile, and 5 s.
	lockPatience = callLimit + 5*time.Second
	// lockSilence is how long somebody waits for a lock before they are told.
	lockSilence = 2 * time.Second
)

var (
	// ErrCredentialsBusy says that another process held the lock for longer
	// than a renewal can take.
	ErrCredentialsBusy = errors.New("the credentials file is in use by another process")
	// ErrLoginChanged says that another program logged in or out meanwhile.
	ErrLoginChanged = errors.New("the login has changed meanwhile")
)

// CredentialsFile is where a login is kept, credentials.yaml. Whoever changes
// it holds the lock credentials.lock beside it; the Python CLI does not.
type CredentialsFile struct {
	// Path is the file.
	Path string
	// Fallback is another place, "" for none: the Python CLI reads and writes
	// a file of its own there. It is used while Path is missing.
	Fallback string
}

// Read reads the login. A file that says nothing is no error and holds no
// credentials.
//
// The error is fs.ErrNotExist, [ErrCredentialsInvalid], or one that says why
// the file cannot be read.
func (f CredentialsFile) Read() (Credentials, error) {
	c, _, err := readLogin(f.inUse())
	return c, err
}

// inUse is the file that is there.
func (f CredentialsFile) inUse() string {
	if f.Fallback == "" {
		return f.Path
	}
	if _, err := os.Stat(f.Path); !errors.Is(err, fs.ErrNotExist) {
		return f.Path
	}
	if _, err := os.Stat(f.Fallback); err != nil {
		return f.Path
	}
	return f.Fallback
}

// readLogin reads path, and again while it looks as if the Python CLI were
// writing it at this moment.
func readLogin(path string) (Credentials, *yaml.Node, error) {
	for start := time.Now(); ; time.Sleep(lockPause) {
		content, changed, err := readCredentialsFile(path)
		if err != nil {
			return Credentials{}, nil, err
		}
		c, document, err := decodeCredentials(content, time.Local)
		whole := err == nil && bytes.HasSuffix(content, []byte("\n"))
		if whole || time.Since(changed).Abs() > tornAge || time.Since(start) > tornPatience {
			return c, document, err
		}
	}
}

func readCredentialsFile(path string) (content []byte, changed time.Time, err error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, changed, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	content, err = readLimited(f, maxCredentialsSize)
	if errors.Is(err, errTooLarge) {
		return nil, changed, ErrCredentialsInvalid
	}
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return nil, changed, fmt.Errorf("read credentials: %w", err)
	}
	return content, info.ModTime(), nil
}

// Remove removes the login from both places, where it can work, and what a
// killed login may have left of it. It is no error if there is nothing. A
// symbolic link stays, its target goes.
func (f CredentialsFile) Remove() error {
	var failure error
	for _, path := range []string{f.Path, f.Fallback, f.places()} {
		if path != "" {
			failure = errors.Join(failure, removeLogin(path))
		}
	}
	if failure != nil {
		return fmt.Errorf("remove credentials: %w", failure)
	}
	return nil
}

func removeLogin(path string) error {
	target, err := linkTarget(path)
	if err != nil {
		return err
	}
	err = remove(target)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeTemporaries(target))
}

// Places are what Arcade Cloud told last of a login: where it can work. They are
// kept beside the credentials, of which the Python CLI keeps only what it knows.
type Places struct {
	Login         string // whose they are, by its fingerprint
	At            time.Time
	Organisations []Choice
	Projects      map[string][]Choice // by the organisation's id
	// Refused is the hash of a refresh token of the login that Cloud said is no
	// good, "" for none. Showing it again tells nothing new, and looks like theft.
	Refused string
}

// Default says whether c is where a new login would work.
func (p Places) Default(c Context) bool {
	org, _ := Preferred(p.Organisations)
	project, known := Preferred(p.Projects[org.ID])
	return known && org.ID == c.OrgID && project.ID == c.ProjectID
}

func (f CredentialsFile) places() string { return filepath.Join(filepath.Dir(f.Path), "places.json") }

// Places returns what is kept for login, nothing if it cannot be read.
func (f CredentialsFile) Places(login Credentials) Places {
	file, err := openRegular(f.places())
	if err != nil {
		return Places{}
	}
	defer file.Close()
	var p Places
	content, err := readLimited(file, maxAnswerSize)
	if err != nil || json.Unmarshal(content, &p) != nil || p.Login != login.Fingerprint() {
		return Places{}
	}
	return p
}

// KeepPlaces keeps p in the place of what was kept. Its directory must exist.
func (f CredentialsFile) KeepPlaces(p Places) error {
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeAtomically(f.places(), content)
}

// MakeRoom says why a login could not be written, before somebody makes one. It
// creates the file's directory if it is missing, and leaves nothing else.
func (f CredentialsFile) MakeRoom() error {
	if err := makeDirectory(filepath.Dir(f.Path)); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	room, err := reserve(f.Path, maxCredentialsSize)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return room.discard()
}

// Write makes the file, of mode 0600, hold login, an API key or tokens, and
// creates its directory, of mode 0700, if it is missing. What else the file
// holds stays. The error can be [ErrCredentialsInvalid] or
// [ErrCredentialsBusy], or the context's.
func (f CredentialsFile) Write(ctx context.Context, login Credentials) error {
	if err := makeDirectory(filepath.Dir(f.Path)); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return locked(ctx, f.Path, nil, func() error {
		_, document, err := readLogin(f.Path)
		if errors.Is(err, fs.ErrNotExist) {
			document, err = new(yaml.Node), nil
		}
		if err != nil {
			return err
		}
		content, err := encodeLogin(document, login)
		if err != nil {
			return err
		}
		return writeLogin(f.Path, content)
	})
}

// SetContext makes context the project of login, which was read before. The
// error can be [ErrLoginChanged] or one of [CredentialsFile.Write].
func (f CredentialsFile) SetContext(ctx context.Context, login Credentials, context Context) error {
	path := f.inUse()
	return locked(ctx, path, nil, func() error {
		now, document, err := readLogin(path)
		if err != nil {
			return err
		}
		if now.Fingerprint() != login.Fingerprint() {
			return ErrLoginChanged
		}
		now.Context = context
		setContext(cloudOf(document), context)
		content, err := encodeAs(document, now)
		if err != nil {
			return err
		}
		return writeLogin(path, content)
	})
}

// writeLogin is called with the lock held.
func writeLogin(path string, content []byte) error {
	room, err := reserve(path, 0)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return keep(room, content)
}

// keep puts content in the room made for it, and removes what writers that
// were killed have left beside it. It is called with the lock held.
func keep(room *replacement, content []byte) error {
	if err := room.commit(content); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	_ = removeTemporaries(room.target)
	return nil
}

// locked does something under the lock of the login at path. Waiting, which may
// be nil, is told when another process holds it for long.
func locked(ctx context.Context, path string, waiting func(), do func() error) error {
	limited, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	name := strings.TrimSuffix(path, filepath.Ext(path)) + ".lock"
	lock := flock.New(name)
	start, told := time.Now(), waiting == nil
	try := func() (bool, error) {
		if !told && time.Since(start) > lockSilence {
			told = true
			waiting()
		}
		return lock.TryLock()
	}
	if err := waitForLock(limited, try, lockPause); err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return ErrCredentialsBusy
		}
		return fmt.Errorf("lock credentials: %w", err)
	}
	defer lock.Close()
	if err := GiveToOwnerOf(filepath.Dir(name), name); err != nil {
		return fmt.Errorf("lock credentials: %w", err)
	}
	return do()
}
