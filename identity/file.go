package identity

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than such a file can be")
)

// openRegular opens path for reading. It never waits: a named pipe, which
// would block until somebody writes, is refused like a directory.
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

// readLimited reads f to its end, or fails with errTooLarge beyond limit bytes.
func readLimited(f io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errTooLarge
	}
	return content, err
}

// writeAtomically replaces path by a file of mode 0600 with this content. A
// reader sees the old file or the new one, also after a power cut. The
// directory must exist. Windows knows no modes: there the file inherits the
// directory's access list, which in a user's profile names the user, the system
// and the administrators.
func writeAtomically(path string, content []byte) error {
	// CreateTemp creates with mode 0600, whatever the umask.
	f, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix(path)+"*"+temporarySuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = replace(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

const temporarySuffix = ".tmp"

func temporaryPrefix(path string) string { return "." + filepath.Base(path) + "." }

// removeTemporaries removes what writers of path that were killed half-way have
// left beside it.
func removeTemporaries(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, temporaryPrefix(path)) && strings.HasSuffix(name, temporarySuffix) {
			err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(path), name)))
		}
	}
	return err
}
