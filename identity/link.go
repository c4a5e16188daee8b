package identity

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// followed is where a login at path is or goes: what path is a link to, if that is a file of this
// person's, or nothing yet in a directory of theirs; else path itself, so that a link that somebody
// else may have planted is replaced or removed, and not what it leads to.
func followed(path string) string {
	target, err := linkTarget(path)
	if err != nil || target == path || !mayFollow(filepath.Dir(path)) {
		return path
	}
	info, err := os.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err = os.Stat(filepath.Dir(target)); err == nil && isOwn(info) {
			return target
		}
		return path
	}
	if err == nil && info.Mode().IsRegular() && isOwn(info) {
		return target
	}
	return path
}

// linkTarget returns what path is a symbolic link to, however often, or path
// itself. The last file of the chain need not exist.
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

// withoutLink removes a link that somebody has put at path, where a file of ours is to be made.
func withoutLink(path string) error {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	return remove(path)
}
