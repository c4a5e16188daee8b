package identity

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
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

// removeLogin removes a login, and what writers that were killed have left of it. What path is a link to
// goes only if it is a login of this person's; else the link goes.
func removeLogin(path string) error {
	target := followed(path)
	if target != path && !isLogin(target) {
		target = path
	}
	return removeFile(target)
}

// removeFile removes what is at path, be it a link, and what writers that were killed have left beside it.
func removeFile(path string) error {
	err := remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeTemporaries(path))
}

// isLogin says whether a file holds a login, or nothing any more.
func isLogin(path string) bool {
	content, _, err := readCredentialsFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	d, err := decodeDocument(content, time.Local)
	return err == nil && slices.ContainsFunc(d.Contexts, Credentials.Present)
}

// withoutLink removes a link that somebody has put at path, where a file of ours is to be made.
func withoutLink(path string) error {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	return remove(path)
}
