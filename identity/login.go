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

// CredentialsFile is where logins are kept, credentials.yaml. Whoever changes
// it holds the lock credentials.lock beside it; the Python CLI does not.
type CredentialsFile struct {
	// Path is the file.
	Path string
	// Shared is another place, "" for none, where the Python CLI looks for its
	// login. A file there that is believed is used, and Path is not.
	Shared string
	// Named says that a variable names the directory, and not the home. There a
	// login has to be private in any case; a home may lie where nothing can be.
	Named bool
	// Context is the name of the login to use, "" for the active one.
	Context string
	// Point is called at named points of a change, where a test stops or kills
	// the process; nil is allowed.
	Point func(name string)
}

func (f CredentialsFile) point(name string) {
	if f.Point != nil {
		f.Point(name)
	}
}

// UnknownContextError says that there is no context of this name.
type UnknownContextError struct {
	Name string
	// Names are those that there are, in alphabetical order.
	Names []string
}

func (e *UnknownContextError) Error() string { return "there is no such context" }

// Read reads the login. A file that says nothing is no error and holds no
// credentials.
//
// The error is fs.ErrNotExist, [ErrCredentialsInvalid], an
// [*UnknownContextError], or one that says why the file cannot be read.
func (f CredentialsFile) Read() (Credentials, error) {
	c, _, err := f.read(f.inUse())
	return c, err
}

// Logins reads all that the file holds. The errors are those of [CredentialsFile.Read].
func (f CredentialsFile) Logins() (Logins, error) {
	d, err := f.readDocument(f.inUse())
	if err != nil {
		return Logins{}, err
	}
	return d.Logins, nil
}

// read returns the login that is to be used, of the file at path.
func (f CredentialsFile) read(path string) (Credentials, *document, error) {
	d, err := f.readDocument(path)
	if d == nil {
		return Credentials{}, nil, err
	}
	c, found := d.Find(cmp.Or(f.Context, d.Active))
	var unbelieved *UnbelievedError
	switch {
	case errors.As(err, &unbelieved):
		unbelieved.cloud = !c.SelfHosted()
		return Credentials{}, nil, err
	case !found && f.Context != "":
		err = &UnknownContextError{f.Context, d.Names()}
	}
	return c, d, err
}

// inUse is the file to read. One that is not believed is told of if there is no other.
func (f CredentialsFile) inUse() string {
	_, missing := os.Stat(f.Path)
	if err := f.believed(f.Shared); err == nil || errors.As(err, new(*UnbelievedError)) && errors.Is(missing, fs.ErrNotExist) {
		return f.Shared
	}
	return f.Path
}

// toWrite is where a login goes.
func (f CredentialsFile) toWrite() string {
	if f.InShared() {
		return f.Shared
	}
	return f.Path
}

// InShared says whether the login is in the Python CLI's place.
func (f CredentialsFile) InShared() bool { return f.believed(f.Shared) == nil }

// believed says whether there is a file, and one that counts.
func (f CredentialsFile) believed(path string) error {
	file, err := openRegular(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.believe(file, path)
}

// readDocument reads path, and again while it looks as if the Python CLI were
// writing it at this moment. It also returns what is not believed, with an
// [*UnbelievedError].
func (f CredentialsFile) readDocument(path string) (*document, error) {
	for start := time.Now(); ; time.Sleep(lockPause) {
		content, changed, unbelieved := f.readFile(path)
		if unbelieved != nil && !errors.As(unbelieved, new(*UnbelievedError)) {
			return nil, unbelieved
		}
		d, err := decodeDocument(content, time.Local)
		whole := err == nil && unbelieved == nil && bytes.HasSuffix(content, []byte("\n"))
		if whole || time.Since(changed).Abs() > tornAge || time.Since(start) > tornPatience {
			return d, cmp.Or(unbelieved, err)
		}
	}
}

// UnbelievedError says that a login file is not used, because somebody else
// could have written it or can read it.
type UnbelievedError struct {
	Path string
	// Own says that it is the person's, and that nobody else could write it.
	Own bool
	// Chmod says that the person can mend it by chmod 600.
	Chmod bool

	cloud bool // the file says that its login is not self-hosted
}

func (e *UnbelievedError) Error() string { return "others can read or write the credentials file" }

// believe returns an [*UnbelievedError] for a login file that is not this
// person's alone, as ssh asks of a key. Path is where it was opened.
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

// hasNoModes says whether the file system at path knows no permissions (a drive
// of Windows, an exFAT stick, a share), so that nobody can make a file private
// there. A file made beside tells.
func hasNoModes(path string, info fs.FileInfo) bool {
	probe, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix(path)+"*"+temporarySuffix)
	if err != nil {
		return false
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	made, err := probe.Stat()
	return err == nil && made.Mode().Perm()&0o077 != 0 && sameOwner(made, info)
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
	info, statErr := file.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return nil, changed, fmt.Errorf("read credentials: %w", err)
	}
	return content, info.ModTime(), f.believe(file, path)
}

// Forget takes the login that [CredentialsFile.Read] returns out of the file, and
// returns the logins that are left. Without any, it is [CredentialsFile.Remove].
// The errors are those of [CredentialsFile.SetContext].
func (f CredentialsFile) Forget(ctx context.Context, login Credentials) (left Logins, err error) {
	err = f.change(ctx, func(d *document) ([]byte, error) {
		if now, _ := d.Find(login.Name); now.Fingerprint() != login.Fingerprint() {
			return nil, ErrLoginChanged
		}
		if !d.mapped || len(d.Contexts) < 2 {
			return nil, f.Remove()
		}
		content, err := d.remove(login.Name)
		if err != nil {
			return nil, err
		}
		written, err := decodeDocument(content, time.Local)
		if err == nil {
			left = written.Logins
		}
		return content, errors.Join(err, removeFile(f.places()))
	})
	return left, err
}

// Remove removes the logins from both places, where they can work, and what a
// killed login may have left of them. It is no error if there is nothing. A
// symbolic link to a login of this person's stays, its target goes; of another the
// link goes.
func (f CredentialsFile) Remove() error {
	failure := removeFile(f.places())
	for _, path := range []string{f.Path, f.Shared} {
		if path != "" {
			failure = errors.Join(failure, f.removeLogin(path))
		}
	}
	if failure != nil {
		return fmt.Errorf("remove credentials: %w", failure)
	}
	return nil
}

// removeLogin removes a login, and what writers that were killed have left of it. What path is a link to
// goes only if it is a login of this person's; else the link goes.
func (f CredentialsFile) removeLogin(path string) error {
	target := followed(path)
	if target != path && !f.isLogin(target) {
		target = path
	}
	return removeFile(target)
}

// isLogin says whether a file holds a login of this person's, or nothing any more.
func (f CredentialsFile) isLogin(path string) bool {
	d, err := f.readOwn(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && slices.ContainsFunc(d.Contexts, Credentials.Present)
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
	// Stronger says that it was refused by an [ErrStrongerLogin].
	Stronger bool `json:",omitempty"`
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
	path := f.toWrite()
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	room, err := f.reserve(path, maxCredentialsSize)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return errors.Join(f.believe(room.file, room.file.Name()), room.discard())
}

// Write makes the file, of mode 0600, hold login in its context, which becomes
// the active one, and creates its directory, of mode 0700, if it is missing. What
// else the file holds stays. The error can be [ErrCredentialsInvalid] or
// [ErrCredentialsBusy], or the context's.
func (f CredentialsFile) Write(ctx context.Context, login Credentials) error {
	path := f.toWrite()
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return locked(ctx, path, nil, func() error {
		d, err := f.readOwn(path)
		// What a link leads to and is not this person's alone is left alone: the link goes.
		if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*UnbelievedError)) && isLink(path) {
			d, err = decodeDocument(nil, time.Local)
		}
		if err != nil {
			return err
		}
		if name := cmp.Or(login.Name, DefaultContext); login.Kind == "" && (d.mapped || name != DefaultContext) {
			login.Kind = ArcadeCloud
		}
		content, err := d.put(login, cmp.Or(login.Name, DefaultContext))
		if err != nil {
			return err
		}
		return f.writeLogin(path, content)
	})
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// SetContext makes context the project of login, which was read before. The
// error can be [ErrLoginChanged] or one of [CredentialsFile.Write].
func (f CredentialsFile) SetContext(ctx context.Context, login Credentials, context Context) error {
	return f.change(ctx, func(d *document) ([]byte, error) {
		now, _ := d.Find(login.Name)
		if now.Fingerprint() != login.Fingerprint() {
			return nil, ErrLoginChanged
		}
		now.Context = context
		return d.put(now, d.Active)
	})
}

// Activate makes another context the active one. The error can be an
// [*UnknownContextError] or one of [CredentialsFile.Write].
func (f CredentialsFile) Activate(ctx context.Context, name string) error {
	return f.change(ctx, func(d *document) ([]byte, error) {
		if _, found := d.Find(name); !found || name == "" {
			return nil, &UnknownContextError{name, d.Names()}
		}
		if !d.mapped {
			return nil, nil
		}
		return d.activate(d.Logins, name)
	})
}

// change makes the file hold what do returns, nil for no change, under the lock.
func (f CredentialsFile) change(ctx context.Context, do func(*document) ([]byte, error)) error {
	path := f.inUse()
	return locked(ctx, path, nil, func() error {
		d, err := f.readOwn(path)
		if err != nil {
			return err
		}
		content, err := do(d)
		if err != nil || content == nil {
			return err
		}
		return f.writeLogin(path, content)
	})
}

// readOwn reads a file to be written: one that others could only read will not
// be readable for them any more, and nothing in it is theirs.
func (f CredentialsFile) readOwn(path string) (*document, error) {
	d, err := f.readDocument(path)
	var unbelieved *UnbelievedError
	if errors.As(err, &unbelieved) && unbelieved.Own && d != nil {
		err = nil
	}
	return d, err
}

// writeLogin is called with the lock held.
func (f CredentialsFile) writeLogin(path string, content []byte) error {
	room, err := f.reserve(path, 0)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return f.keep(room, content)
}

// reserve makes room for a change of the login at path. A link to a file of this
// person's stays one.
func (f CredentialsFile) reserve(path string, size int) (*replacement, error) {
	room, err := reserve(followed(path), size)
	if err == nil {
		f.point("reserved")
	}
	return room, err
}

// keep puts content in the room made for it, and removes what writers that
// were killed have left beside it. It is called with the lock held.
func (f CredentialsFile) keep(room *replacement, content []byte) error {
	err := room.fill(content)
	if err == nil {
		f.point("filled")
		err = room.commit()
	}
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	f.point("replaced")
	_ = removeTemporaries(room.target)
	return nil
}

// locked does something under the lock of the login at path. Waiting, which may
// be nil, is told when another process holds it for long.
func locked(ctx context.Context, path string, waiting func(), do func() error) error {
	limited, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	name := strings.TrimSuffix(path, filepath.Ext(path)) + ".lock"
	if err := withoutLink(name); err != nil {
		return fmt.Errorf("lock credentials: %w", err)
	}
	lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDONLY|openNoFollow))
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
