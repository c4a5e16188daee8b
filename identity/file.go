package identity

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than such a file can be")
)

// openRegular opens path for reading without ever waiting: it refuses a named pipe,
// which would block until a writer comes, like a directory.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonBlocking, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return f, nil
	}
	f.Close()
	return nil, cmp.Or(err, errNotRegular)
}

// isMissing reports that there is no such file, or that a file is in the place of its directory.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// readRegular reads a file of at most limit bytes.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f, limit)
}

// readLimited reads f to its end, or fails with errTooLarge beyond limit bytes.
func readLimited(f io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errTooLarge
	}
	return content, err
}

// WriteAtomically replaces path, even if it is a link, by a file of mode 0600. A reader
// sees the old file or the new one, even after a power cut. The directory must exist.
// Windows has an access list in place of modes, see giveToOwnerOf.
func WriteAtomically(path string, content []byte) error {
	r, err := reserve(path, 0)
	if err != nil {
		return err
	}
	defer r.discard()
	if err := r.fill(content); err != nil {
		return err
	}
	return r.commit()
}

// replacement is a temporary file with the next content of target.
type replacement struct {
	file   *os.File
	target string
}

// reserve makes a replacement of target with room for size bytes: a disk that is full
// or read-only shows before there is something to lose. The caller fills and commits
// it, and discards it in any case.
func reserve(target string, size int) (*replacement, error) {
	// CreateTemp creates with mode 0600, whatever the umask.
	f, err := os.CreateTemp(filepath.Dir(target), temporaryPattern(target))
	if err != nil {
		return nil, err
	}
	r := &replacement{f, target}
	_, err = f.Write(make([]byte, size))
	if err == nil {
		err = giveToOwnerOf(filepath.Dir(target), f.Name())
	}
	if err != nil {
		r.discard()
		return nil, err
	}
	return r, nil
}

// fill writes the content, and syncs it to the disk.
func (r *replacement) fill(content []byte) error {
	_, err := r.file.WriteAt(content, 0)
	if err == nil {
		err = r.file.Truncate(int64(len(content)))
	}
	if err == nil {
		err = syncFile(r.file)
	}
	return err
}

// commit renames a filled replacement to its target.
func (r *replacement) commit() error {
	if err := r.file.Close(); err != nil {
		return err
	}
	return replace(r.file.Name(), r.target)
}

// discard removes a replacement that was not committed.
func (r *replacement) discard() {
	r.file.Close()
	_ = os.Remove(r.file.Name())
}

// makeDirectory creates directory, of mode 0700, if it is missing.
func makeDirectory(directory string) error {
	if _, err := os.Stat(directory); err == nil {
		return nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	return giveToOwnerOf(filepath.Dir(directory), directory)
}

// temporaryPattern matches the names of the replacements of path, beside it.
func temporaryPattern(path string) string { return "." + filepath.Base(path) + ".*.tmp" }

// RemoveFile removes path, but not the target of a link, and what killed writers have left beside it.
func RemoveFile(path string) error {
	err := Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeTemporaries(path))
}

// removeTemporaries removes what killed writers of path have left beside it.
func removeTemporaries(path string) (err error) {
	directory := filepath.Dir(path)
	names, _ := fs.Glob(os.DirFS(directory), temporaryPattern(path))
	for _, name := range names {
		err = errors.Join(err, Remove(filepath.Join(directory, name)))
	}
	return err
}

// followed returns where a login at path is or goes: the target of a link, if that is
// the user's file, or a new one in the user's directory; else path itself, so that a
// planted link is replaced, and not its target.
func followed(path string) string {
	if !isLink(path) || !mayFollow(filepath.Dir(path)) {
		return path
	}
	target, err := filepath.EvalSymlinks(path)
	owned := target
	if errors.Is(err, fs.ErrNotExist) {
		target, err = newTarget(path)
		owned = filepath.Dir(target)
	}
	if err != nil {
		return path
	}
	if info, err := os.Stat(owned); err != nil || !isOwn(info) || owned == target && !info.Mode().IsRegular() {
		return path
	}
	return target
}

// newTarget returns the target of a link to a file that does not exist yet.
func newTarget(link string) (string, error) {
	to, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(to) {
		to = filepath.Dir(link) + string(filepath.Separator) + to
	}
	directory, name := filepath.Split(to) // not cleaned: after a link to a directory, ".." is the parent of its target
	directory, err = filepath.EvalSymlinks(directory)
	return filepath.Join(directory, name), err
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
