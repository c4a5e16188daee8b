package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The suffixes of a database's files. A journal is there instead of a WAL where there is no shared memory.
const walSuffix, shmSuffix, journalSuffix = "-wal", "-shm", "-journal"

const lockSuffix = ".lock" // the file of the write lock

// sideSuffixes are those of the files that mean nothing without their database.
func sideSuffixes() []string { return []string{walSuffix, shmSuffix, journalSuffix} }

// look returns the file in a database's place, nil without one. Anything else there is an error, and must not even be opened: a pipe
// would never answer.
func look(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil {
		if !info.Mode().IsRegular() {
			return nil, ErrNotFile
		}
		return info, nil
	}
	if _, above := ground(path); above != nil {
		return nil, above
	}
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case exists(path):
		return nil, ErrDangling
	}
	return nil, nil
}

// ground returns the first existing directory above a path. Anything else in the way is a *fs.PathError with ErrNotDirectory or
// ErrDangling; Windows itself calls what is below a file missing.
func ground(path string) (dir string, err error) {
	dir = filepath.Dir(path)
	info, err := os.Stat(dir)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && exists(dir):
		err = &fs.PathError{Op: "stat", Path: dir, Err: ErrDangling}
	case missing && filepath.Dir(dir) != dir:
		return ground(dir)
	case missing || err == nil && !info.IsDir(): // a volume may be missing as well
		err = &fs.PathError{Op: "stat", Path: dir, Err: ErrNotDirectory}
	}
	return dir, err
}

// exists reports whether something is at the path, or may be: only ErrNotExist means that it is missing.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// refusesFiles reports whether a file could not be made though its directory is there, as in /proc.
func refusesFiles(err error) bool {
	failed, ok := errors.AsType[*fs.PathError](err)
	return ok && errors.Is(err, fs.ErrNotExist) && (failed.Op == "open" || failed.Op == "mkdir") && exists(filepath.Dir(failed.Path))
}

// lacks reports whether a file of ours is missing. A symbolic link in its place is removed: its target is not ours.
func lacks(path string) bool {
	info, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink != 0 && os.Remove(path) == nil
}

// CreateFile makes an empty file (0600) that belongs to the owner of its directory, unless there is one. It replaces a symbolic link.
func CreateFile(path string) error {
	if !lacks(path) {
		return nil
	}
	if err := createFile(path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func createFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), giveToOwner(path))
}

// makeDirectory is MkdirAll (0700). What it makes belongs to the owner of the directory above.
func makeDirectory(path string) error {
	if exists(path) {
		return nil
	}
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	switch err := os.Mkdir(path, 0o700); {
	case errors.Is(err, fs.ErrExist): // another process was faster
		return nil
	case err != nil:
		return err
	}
	return giveToOwner(path)
}

// noteLimit bounds a file of notes, in bytes: a disk that stays full is not filled by them.
const noteLimit = 64 << 10

const (
	// recordDescriptors is what a command opens at once at most to record and to start a flusher: 16 were seen, those of Go's poller
	// counted. A flusher inherits the limit, and all but three streams are closed in it: it has more left.
	recordDescriptors = 20
	openDescriptors   = 8 // those of a database, its lock, its directory and the poller
	noteDescriptors   = 3 // the file's, and the poller's
)

// CheckDescriptors returns ErrDescriptors where a command that records would run out of them.
func CheckDescriptors() error { return checkDescriptors(recordDescriptors) }

// AddNote adds a line to a file of notes beside the database, which it makes if need be; on a full disk the file stays empty. A
// link, symbolic or hard, is replaced: its target is not ours. Failures are ignored.
func AddNote(path, line string) {
	if checkDescriptors(noteDescriptors) != nil {
		return
	}
	if info, err := os.Lstat(path); err == nil && (!info.Mode().IsRegular() || hasOtherNames(info)) && os.Remove(path) != nil {
		return
	}
	if CreateFile(path) != nil {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() < noteLimit {
		_, _ = file.WriteString(line + "\n")
	}
}

// SyncFile makes a file's content durable and returns its size in bytes. It must not be used on an open database: closing the file
// drops the locks that SQLite holds on it for the whole process. A WAL carries no locks.
func SyncFile(path string) (size int64, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		size, err = info.Size(), fullSync(file)
	}
	return size, err
}

// move renames those of a database's files that exist. The database itself must come first or last, so that a process that dies in
// between leaves its side files where they can be told to be its own.
func move(from, to string, suffixes ...string) error {
	for _, suffix := range suffixes {
		if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Remove removes those of the files with the given suffixes that exist.
func Remove(path string, suffixes ...string) (err error) {
	for _, suffix := range suffixes {
		if one := os.Remove(path + suffix); !errors.Is(one, fs.ErrNotExist) {
			err = errors.Join(err, one)
		}
	}
	return err
}

// beside returns the paths of the files whose names continue the database's with one of the infixes.
func beside(path string, infixes ...string) (paths []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		rest, found := strings.CutPrefix(entry.Name(), filepath.Base(path))
		for _, infix := range infixes {
			if found && strings.HasPrefix(rest, infix) {
				paths = append(paths, path+rest)
			}
		}
	}
	return paths, err
}
