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
	// tornPatience is how long a file that looks half written is read again: the
	// Python CLI truncates it and then writes, within milliseconds.
	tornPatience = 200 * time.Millisecond
	// tornAge is the age up to which a file may still be under the pen.
	tornAge = 2 * time.Second
	// lockPause is the time between two tries to take a lock.
	lockPause = 5 * time.Millisecond
	// lockPatience covers another process's renewal, and 5 s.
	lockPatience = callLimit + 5*time.Second
	// lockSilence is how long a user waits for a lock without being told.
	lockSilence = 2 * time.Second
)

var (
	// ErrCredentialsBusy says that another process held the lock for longer than a
	// renewal can take.
	ErrCredentialsBusy = errors.New("the credentials file is in use by another process")
	// ErrLoginChanged says that another program logged in or out meanwhile.
	ErrLoginChanged = errors.New("the login has changed meanwhile")
)

// CredentialsFile is credentials.yaml, where logins are kept. A writer holds the
// lock credentials.lock beside it; the Python CLI does not.
type CredentialsFile struct {
	Path string
	// Shared is where the Python CLI keeps its login, "" for nowhere else. A file
	// there that is believed is used in the place of Path.
	Shared string
	// Named says that a variable names the directory. There a login has to be
	// private in any case; a home may lie where nothing can be.
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
	Name  string
	Names []string // of the contexts, in alphabetical order
}

func (e *UnknownContextError) Error() string { return "there is no such context" }

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
	return d.Logins, nil
}

// read returns the login in force, of the file at path.
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

// inUse is the file to read: an unbelieved one, too, if there is no other, so that
// the user is told.
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

// InShared reports whether the login is in the Python CLI's place.
func (f CredentialsFile) InShared() bool { return f.believed(f.Shared) == nil }

// believed returns nil for a file that is there and counts.
func (f CredentialsFile) believed(path string) error {
	file, err := openRegular(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.believe(file, path)
}

// readDocument reads path, and again while the Python CLI seems to be writing it.
// It also returns an unbelieved document, with the [*UnbelievedError].
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

// UnbelievedError says that a login file is not used, because other users can
// read it or could have written it.
type UnbelievedError struct {
	Path  string
	Own   bool // it is the user's, and no other could write it
	Chmod bool // the user can mend it by chmod 600
	cloud bool // by the file, its login is not self-hosted
}

func (e *UnbelievedError) Error() string { return "others can read or write the credentials file" }

// believe returns an [*UnbelievedError] for a login file that is not the user's
// alone, as ssh asks of a key. Path is where it was opened.
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

// hasNoModes reports a file system without permissions (a drive of Windows, an
// exFAT stick, a share), on which no file can be private, by making one there.
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

// Forget removes the login that [CredentialsFile.Read] returned, and returns those
// that are left. For the last one it is [CredentialsFile.Remove]. The errors are
// those of [CredentialsFile.SetContext].
func (f CredentialsFile) Forget(ctx context.Context, login Credentials) (left Logins, err error) {
	err = f.change(ctx, func(d *document) ([]byte, error) {
		if now, _ := d.Find(login.Name); now.Fingerprint() != login.Fingerprint() {
			return nil, ErrLoginChanged
		}
		if !d.mapped || len(d.Contexts) < 2 {
			return nil, f.Remove()
		}
		content, err := d.remove(login.Name)
		left = d.Logins
		return content, errors.Join(err, removeFile(f.places()))
	})
	return left, err
}

// Remove removes the logins from both places, and what a killed writer may have
// left of them. It is no error if there is nothing. A symbolic link stays if its
// target is a login of the user's, and the target goes; else the link goes.
func (f CredentialsFile) Remove() error {
	failure := removeFile(f.places())
	for _, path := range []string{f.Path, f.Shared} {
		if path == "" {
			continue
		}
		target := followed(path)
		if target != path && !f.isLogin(target) {
			target = path
		}
		failure = errors.Join(failure, removeFile(target))
	}
	if failure != nil {
		return fmt.Errorf("remove credentials: %w", failure)
	}
	return nil
}

// isLogin reports whether a file holds a login of the user's, or is gone.
func (f CredentialsFile) isLogin(path string) bool {
	d, err := f.readOwn(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && slices.ContainsFunc(d.Contexts, Credentials.Present)
}

// Places are where a login can work, by Arcade Cloud's last answers. They are kept
// beside the credentials, in which the Python CLI keeps known keys only.
type Places struct {
	Login         string // whose they are, by its fingerprint
	At            time.Time
	Organisations []Choice
	Projects      map[string][]Choice // by the organisation's id
	// Refused is the hash of the login's refused refresh token, "" for none. To show
	// it again would look like theft.
	Refused  string
	Stronger bool `json:",omitempty"` // it was refused by an [ErrStrongerLogin]
}

// Default reports whether c is where a new login would work.
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

// MakeRoom returns why a login could not be written, before the user makes one. It
// creates the file's directory if it is missing, and leaves nothing else.
func (f CredentialsFile) MakeRoom() error {
	path := f.toWrite()
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	room, err := f.reserve(followed(path), maxCredentialsSize)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return errors.Join(f.believe(room.file, room.file.Name()), room.discard())
}

// Write puts login into its context, which becomes the active one, in a file of
// mode 0600 and a directory of mode 0700. The rest of the file stays. The error can
// be [ErrCredentialsInvalid], [ErrCredentialsBusy] or the context's.
func (f CredentialsFile) Write(ctx context.Context, login Credentials) error {
	path := f.toWrite()
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return locked(ctx, path, nil, func() error {
		target := followed(path)
		d, err := f.readOwn(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			d, err = decodeDocument(nil, time.Local)
		case isLink(path) && (errors.As(err, new(*UnbelievedError)) || err == nil && !d.isLogin()):
			target = path // replaces the link: others could write what it leads to, or that is another file of the user's
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
		return f.writeLogin(target, content)
	})
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// SetContext makes context the project of login, which was read before. The error
// can be [ErrLoginChanged] or one of [CredentialsFile.Write].
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
		return d.activate(name)
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
		return f.writeLogin(followed(path), content)
	})
}

// readOwn reads a file to be written. One that other users could only read is
// accepted: nothing in it is theirs, and the new one is private.
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

// writeLogin is called with the lock held, and replaces path, also if that is a link.
func (f CredentialsFile) writeLogin(path string, content []byte) error {
	room, err := f.reserve(path, 0)
	if err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return f.keep(room, content)
}

// reserve makes room for a change of the login at path.
func (f CredentialsFile) reserve(path string, size int) (*replacement, error) {
	room, err := reserve(path, size)
	if err == nil {
		f.point("reserved")
	}
	return room, err
}

// keep puts content in the room made for it, and removes what killed writers have
// left beside it. It is called with the lock held.
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

// locked runs do under the lock of the login at path. It calls waiting, which may
// be nil, when another process holds the lock for long.
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
