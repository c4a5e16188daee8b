package identity

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than such a file can be")
)

// openRegular opens path for reading without ever waiting: a named pipe, which
// would block until a writer comes, is refused like a directory.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonBlocking, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isMissing reports that there is no file, also below what is no directory.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// readLimited reads f to its end, or fails with errTooLarge beyond limit bytes.
func readLimited(f io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errTooLarge
	}
	return content, err
}

// waitForLock tries to take a lock until ctx ends, and fails with the context's
// error. On a file system without locks it goes on: these files are replaced whole.
func waitForLock(ctx context.Context, try func() (bool, error), pause time.Duration) error {
	for {
		locked, err := try()
		var cannotOpen *fs.PathError
		switch {
		case errors.As(err, &cannotOpen):
			return err
		case locked, err != nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// writeAtomically replaces path, also a link, by a file of mode 0600. A reader
// sees the old file or the new one, also after a power cut. The directory must
// exist. Windows has an access list in place of modes, see GiveToOwnerOf.
func writeAtomically(path string, content []byte) error {
	r, err := reserve(path, 0)
	if err == nil {
		err = r.fill(content)
	}
	if err == nil {
		err = r.commit()
	}
	return err
}

// replacement is the next content of a file, on its way there.
type replacement struct {
	file   *os.File
	target string
}

// reserve makes room for a replacement of target with size bytes: a disk that is
// full or read-only shows before there is something to lose. The caller fills and
// commits, or discards it.
func reserve(target string, size int) (*replacement, error) {
	// CreateTemp creates with mode 0600, whatever the umask.
	f, err := os.CreateTemp(filepath.Dir(target), temporaryPrefix(target)+"*"+temporarySuffix)
	if err != nil {
		return nil, err
	}
	r := &replacement{f, target}
	_, err = f.Write(make([]byte, size))
	if err == nil {
		err = GiveToOwnerOf(filepath.Dir(target), f.Name())
	}
	if err != nil {
		return nil, errors.Join(err, r.discard())
	}
	return r, nil
}

// fill writes the content to the disk. After an error the replacement is gone.
func (r *replacement) fill(content []byte) error {
	_, err := r.file.WriteAt(content, 0)
	if err == nil {
		err = r.file.Truncate(int64(len(content)))
	}
	if err == nil {
		err = syncFile(r.file)
	}
	if err != nil {
		err = errors.Join(err, r.discard())
	}
	return err
}

// commit puts a filled replacement in the target's place. After an error it is gone.
func (r *replacement) commit() error {
	err := r.file.Close()
	if err == nil {
		err = replace(r.file.Name(), r.target)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(r.file.Name()))
	}
	return err
}

func (r *replacement) discard() error {
	return errors.Join(r.file.Close(), os.Remove(r.file.Name()))
}

// makeDirectory creates directory, of mode 0700, if it is missing.
func makeDirectory(directory string) error {
	if _, err := os.Stat(directory); err == nil {
		return nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	return GiveToOwnerOf(filepath.Dir(directory), directory)
}

const temporarySuffix = ".tmp"

func temporaryPrefix(path string) string { return "." + filepath.Base(path) + "." }

// removeFile removes path, also a link, and what killed writers have left beside it.
func removeFile(path string) error {
	err := Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeTemporaries(path))
}

// removeTemporaries removes what killed writers of path have left beside it.
func removeTemporaries(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, temporaryPrefix(path)) && strings.HasSuffix(name, temporarySuffix) {
			err = errors.Join(err, Remove(filepath.Join(filepath.Dir(path), name)))
		}
	}
	return err
}

// followed is where a login at path is or goes: the target of a link, if that is
// the user's file, or a new one in the user's directory; else path itself, so that a
// planted link is replaced, and not its target.
func followed(path string) string {
	target, err := linkTarget(path)
	if err != nil || target == path || !mayFollow(filepath.Dir(path)) {
		return path
	}
	info, err := os.Lstat(target)
	fits := err == nil && info.Mode().IsRegular()
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(target))
		fits = err == nil
	}
	if fits && isOwn(info) {
		return target
	}
	return path
}

// linkTarget follows a chain of symbolic links, whose last file need not exist.
func linkTarget(path string) (string, error) {
	for range 40 { // as many as Linux follows
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil
		}
		if !filepath.IsAbs(to) {
			directory, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return "", err
			}
			to = filepath.Join(directory, to)
		}
		path = to
	}
	return "", &fs.PathError{Op: "follow", Path: path, Err: errors.New("too many symbolic links")}
}

// withoutLink removes a link at path, where a file of ours is to be made.
func withoutLink(path string) error {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	return Remove(path)
}
