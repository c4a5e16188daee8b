package identity

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	// tornPatience is how long a file that looks half written is read again: the Python
	// CLI truncates it and then writes it, within milliseconds.
	tornPatience = 200 * time.Millisecond
	// tornAge is the age up to which a file may still be half written.
	tornAge = 2 * time.Second
	// lockPause is the time between two tries to take a lock.
	lockPause = 5 * time.Millisecond
	// lockPatience covers another process's renewal and 5 s more.
	lockPatience = callLimit + 5*time.Second
	// lockSilence is how long a user waits for a lock before being told.
	lockSilence = 2 * time.Second
)

var (
	// ErrCredentialsBusy says that another process held the lock for longer than a
	// renewal can take.
	ErrCredentialsBusy = errors.New("the credentials file is in use by another process")
	// ErrLoginChanged says that another program has logged in or out meanwhile.
	ErrLoginChanged = errors.New("the login has changed meanwhile")
)

// CredentialsFile is credentials.yaml, which holds the logins. A writer holds the lock
// credentials.lock beside it; the Python CLI does not.
type CredentialsFile struct {
	Path string
	// Shared is where the Python CLI keeps its login, "" if that is Path. A file there
	// that is believed is used instead of Path.
	Shared string
	// Named says that a variable names the directory. There a login has to be private in
	// any case; a home may be on a file system without modes.
	Named bool
	// Context is the name of the login to use, "" for the active one.
	Context string
	// Point is called at named points of a change, for tests; nil is allowed.
	Point func(name string)
}

func (f CredentialsFile) point(name string) {
	if f.Point != nil {
		f.Point(name)
	}
}

// UnknownContextError says that no context has this name.
type UnknownContextError struct {
	Names []string // of the existing contexts, in alphabetical order
}

func (e *UnknownContextError) Error() string { return "there is no such context" }

// UnbelievedError says that a login file is not used because other users can read it
// or could have written it.
type UnbelievedError struct {
	Path  string
	Own   bool // it is the user's, and other users could only read it
	Chmod bool // chmod 600 helps
}

func (e *UnbelievedError) Error() string { return "others can read or write the credentials file" }

// Read reads the login, which is empty in an empty file.
//
// The error is fs.ErrNotExist, [ErrCredentialsInvalid], an [*UnbelievedError], an
// [*UnknownContextError], or one that says why the file cannot be read.
func (f CredentialsFile) Read() (Credentials, error) {
	c, _, err := f.read(f.inUse())
	return c, err
}

// Logins reads all logins. The errors are those of [CredentialsFile.Read].
func (f CredentialsFile) Logins() (Logins, error) {
	d, err := f.readDocument(f.inUse())
	if err != nil {
		return Logins{}, err
	}
	if !d.mapped && len(d.Contexts) > 0 {
		d.Contexts[0].Name = ""
	}
	return d.Logins, nil
}

// read returns the login in force, of the file at path.
func (f CredentialsFile) read(path string) (Credentials, *document, error) {
	d, err := f.readDocument(path)
	if err != nil {
		return Credentials{}, nil, err
	}
	c, found := d.Find(cmp.Or(f.Context, d.Active))
	if !found && f.Context != "" {
		err = &UnknownContextError{d.Names()}
	}
	if !d.mapped {
		c.Name = ""
	}
	return c, d, err
}

// InShared reports whether the login is in the Python CLI's place.
func (f CredentialsFile) InShared() bool {
	file, err := openRegular(f.Shared)
	if err != nil {
		return false
	}
	defer file.Close()
	return f.believe(file, f.Shared) == nil
}

// inUse returns the file to read. That can be an unbelieved one if there is no other, so
// that the user is told.
func (f CredentialsFile) inUse() string {
	_, missing := os.Stat(f.Path)
	_, missingToo := os.Stat(f.Shared)
	if f.InShared() || missing != nil && missingToo == nil {
		return f.Shared
	}
	return f.Path
}

// believe returns an [*UnbelievedError] unless a login file is the user's alone, as ssh
// asks of a key. Path is where it was opened.
func (f CredentialsFile) believe(file *os.File, path string) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	mine, private := isMine(file, info, path)
	if mine && private {
		return nil
	}
	if !private && !f.Named && hasNoModes(path, info) {
		return nil
	}
	return &UnbelievedError{Path: path, Own: mine && info.Mode().Perm()&0o022 == 0, Chmod: mine && isWritable(path)}
}

// hasNoModes reports a file system without permissions (a drive of Windows, an exFAT
// stick, a share), on which no file can be private. It makes a file there to see.
func hasNoModes(path string, info fs.FileInfo) bool {
	probe, err := os.CreateTemp(filepath.Dir(path), temporaryPattern(path))
	if err != nil {
		return false
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	made, err := probe.Stat()
	return err == nil && made.Mode().Perm()&0o077 != 0 && sameOwner(made, info)
}

// readDocument reads path, and reads it again while the Python CLI seems to be writing
// it. It returns an unbelieved document together with the [*UnbelievedError].
func (f CredentialsFile) readDocument(path string) (*document, error) {
	for start := time.Now(); ; time.Sleep(lockPause) {
		content, changed, unbelieved := f.readFile(path)
		if unbelieved != nil && !errors.As(unbelieved, new(*UnbelievedError)) {
			return nil, unbelieved
		}
		d, err := decodeDocument(content)
		whole := err == nil && unbelieved == nil && bytes.HasSuffix(content, []byte("\n"))
		if whole || time.Since(changed).Abs() > tornAge || time.Since(start) > tornPatience {
			return d, cmp.Or(unbelieved, err)
		}
	}
}

func (f CredentialsFile) readFile(path string) (content []byte, changed time.Time, err error) {
	file, err := openRegular(path)
	if err != nil {
		return nil, changed, fmt.Errorf("read credentials: %w", err)
	}
	defer file.Close()
	content, err = readLimited(file, maxCredentialsSize)
	if errors.Is(err, errTooLarge) {
		return nil, changed, ErrCredentialsInvalid
	}
	info, statErr := file.Stat() // after reading: another program may write meanwhile
	if err = errors.Join(err, statErr); err != nil {
		return nil, changed, fmt.Errorf("read credentials: %w", err)
	}
	return content, info.ModTime(), f.believe(file, path)
}

// readOwn reads a file that will be written. It accepts a file that other users could
// only read: nothing in it is theirs, and the new file is private.
func (f CredentialsFile) readOwn(path string) (*document, error) {
	d, err := f.readDocument(path)
	var unbelieved *UnbelievedError
	switch {
	case !errors.As(err, &unbelieved) || !unbelieved.Own:
		return d, err
	case d == nil:
		return nil, ErrCredentialsInvalid
	}
	return d, nil
}

// Places are where a login can work, by Arcade Cloud's last answers. They are kept
// beside the credentials file, in which the Python CLI keeps only the keys it knows.
type Places struct {
	Login         string // whose they are, by its fingerprint
	At            time.Time
	Organisations []Choice
	Projects      map[string][]Choice // by the organisation's id
	// Refused is the hash of the login's refused refresh token, "" for none. Showing the
	// token again would look like theft.
	Refused  string
	Stronger bool `json:",omitempty"` // it was refused by an [ErrStrongerLogin]
}

// Default reports whether c is the project of a new login.
func (p Places) Default(c Context) bool {
	org, _ := Preferred(p.Organisations)
	project, known := Preferred(p.Projects[org.ID])
	return known && org.ID == c.OrgID && project.ID == c.ProjectID
}

func (f CredentialsFile) places() string { return filepath.Join(filepath.Dir(f.Path), "places.json") }

// Places returns what is kept for login, or nothing if that cannot be read.
func (f CredentialsFile) Places(login Credentials) Places {
	var p Places
	content, err := readRegular(f.places(), maxAnswerSize)
	if err != nil || json.Unmarshal(content, &p) != nil || p.Login != login.Fingerprint() {
		return Places{}
	}
	return p
}

// KeepPlaces replaces what was kept by p. The directory must exist.
func (f CredentialsFile) KeepPlaces(p Places) error {
	content, _ := json.Marshal(p) // texts and a time always marshal
	return WriteAtomically(f.places(), content)
}

// toWrite returns where a login goes, and makes its directory if it is missing.
func (f CredentialsFile) toWrite() (string, error) {
	path := f.Path
	if f.InShared() {
		path = f.Shared
	}
	return path, makeDirectory(filepath.Dir(path))
}

// MakeRoom returns why a login could not be written, before the user makes one. It
// creates the file's directory if it is missing, and leaves nothing else behind.
func (f CredentialsFile) MakeRoom() error {
	path, err := f.toWrite()
	if err != nil {
		return err
	}
	room, err := f.reserve(followed(path))
	if err != nil {
		return err
	}
	defer room.discard()
	return f.believe(room.file, room.file.Name())
}

// Write puts login into its context, which becomes the active one, in a file of mode
// 0600 and a directory of mode 0700. The rest of the file stays. The error can be
// [ErrCredentialsInvalid], [ErrCredentialsBusy] or the context's.
func (f CredentialsFile) Write(ctx context.Context, login Credentials) error {
	path, err := f.toWrite()
	if err != nil {
		return err
	}
	return locked(ctx, path, nil, func() error {
		target := followed(path)
		d, err := f.readOwn(path)
		switch {
		case isLink(path) && (errors.As(err, new(*UnbelievedError)) || err == nil && d.foreign):
			target = path // replace the link: others could write its target, or that is no login
			d, err = decodeDocument(nil)
		case errors.Is(err, fs.ErrNotExist):
			d, err = decodeDocument(nil)
		}
		if err != nil {
			return err
		}
		next := d.with(login)
		next.Active = cmp.Or(login.Name, DefaultContext)
		return f.save(target, d, next)
	})
}

// SetContext makes context the project of login, which was read before. The error
// can be [ErrLoginChanged] or one of [CredentialsFile.Write].
func (f CredentialsFile) SetContext(ctx context.Context, login Credentials, context Context) error {
	return f.change(ctx, func(l Logins) (Logins, error) {
		now, _ := l.Find(login.Name)
		if now.Fingerprint() != login.Fingerprint() {
			return l, ErrLoginChanged
		}
		now.Context = context
		return l.with(now), nil
	})
}

// Activate makes another context the active one. The error can be an
// [*UnknownContextError] or one of [CredentialsFile.Write].
func (f CredentialsFile) Activate(ctx context.Context, name string) error {
	return f.change(ctx, func(l Logins) (Logins, error) {
		if _, found := l.Find(name); !found || name == "" {
			return l, &UnknownContextError{l.Names()}
		}
		l.Active = name
		return l, nil
	})
}

// Forget removes the login that [CredentialsFile.Read] returned, and returns those
// that are left. For the last one it is [CredentialsFile.Remove]. The errors are
// those of [CredentialsFile.SetContext].
func (f CredentialsFile) Forget(ctx context.Context, login Credentials) (left Logins, err error) {
	err = f.change(ctx, func(l Logins) (Logins, error) {
		if now, _ := l.Find(login.Name); now.Fingerprint() != login.Fingerprint() {
			return l, ErrLoginChanged
		}
		if left = l.without(login.Name); len(left.Contexts) == 0 {
			return left, f.Remove()
		}
		return left, RemoveFile(f.places())
	})
	return left, err
}

// Remove removes the logins from both places, and what a killed writer may have left of
// them. It is no error if there are none. Of a symbolic link to a login of the user's
// the target goes and the link stays; any other link goes.
func (f CredentialsFile) Remove() error {
	failure := RemoveFile(f.places())
	for _, path := range []string{f.Path, f.Shared} {
		if path == "" {
			continue
		}
		target := followed(path)
		if target != path {
			d, err := f.readOwn(target)
			if err == nil && !slices.ContainsFunc(d.Contexts, Credentials.Present) || err != nil && !errors.Is(err, fs.ErrNotExist) {
				target = path
			}
		}
		failure = errors.Join(failure, RemoveFile(target))
	}
	return failure
}

// change writes the logins that do returns, if any, under the lock.
func (f CredentialsFile) change(ctx context.Context, do func(Logins) (Logins, error)) error {
	path := f.inUse()
	return locked(ctx, path, nil, func() error {
		d, err := f.readOwn(path)
		if err != nil {
			return err
		}
		next, err := do(d.Logins)
		if err != nil || len(next.Contexts) == 0 {
			return err
		}
		return f.save(followed(path), d, next)
	})
}

// save writes d with other logins to path, which it replaces even if it is a link. It
// is called with the lock held.
func (f CredentialsFile) save(path string, d *document, next Logins) error {
	content, err := d.encode(next)
	if err != nil {
		return err
	}
	room, err := f.reserve(path)
	if err != nil {
		return err
	}
	defer room.discard()
	return f.keep(room, content)
}

func (f CredentialsFile) reserve(path string) (*replacement, error) {
	room, err := reserve(path, maxCredentialsSize)
	if err == nil {
		f.point("reserved")
	}
	return room, err
}

// keep writes content into the room made for it, puts that in its place, and removes
// what killed writers have left beside it. It is called with the lock held.
func (f CredentialsFile) keep(room *replacement, content []byte) error {
	if err := room.fill(content); err != nil {
		return err
	}
	f.point("filled")
	if err := room.commit(); err != nil {
		return err
	}
	f.point("replaced")
	_ = removeTemporaries(room.target)
	return nil
}

// locked runs do under the lock of the file at path. It calls waiting, which may be
// nil, when another process holds the lock for long.
func locked(ctx context.Context, path string, waiting func(), do func() error) error {
	name := strings.TrimSuffix(path, filepath.Ext(path)) + ".lock"
	if isLink(name) {
		if err := Remove(name); err != nil {
			return err
		}
	}
	lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDONLY|openNoFollow))
	limited, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	silent, end := context.WithTimeout(limited, lockSilence)
	defer end()
	_, err := lock.TryLockContext(silent, lockPause)
	if errors.Is(err, context.DeadlineExceeded) && limited.Err() == nil {
		if waiting != nil {
			waiting()
		}
		_, err = lock.TryLockContext(limited, lockPause)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return ErrCredentialsBusy
	case err != nil && (ctx.Err() != nil || errors.As(err, new(*fs.PathError))):
		return fmt.Errorf("lock credentials: %w", err)
	} // A file system without locks has to do without: the file is replaced as a whole.
	defer lock.Close()
	if err := giveToOwnerOf(filepath.Dir(name), name); err != nil {
		return fmt.Errorf("lock credentials: %w", err)
	}
	return do()
}
