package store

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// giveToOwner has nothing to do: files inherit the directory's access list.
func giveToOwner(string) error { return nil }

func access(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

func permissionError(path, _ string) error { return &PermissionError{Path: path} }

// place moves a file to a path where there is none; fs.ErrExist says that there is.
func place(from, to string) error {
	source, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	target, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFile(source, target); err != nil {
		return &fs.PathError{Op: "move", Path: to, Err: err}
	}
	return nil
}

// syncDirectory has nothing to do: a directory cannot be synced there.
func syncDirectory(string) error { return nil }

func fullSigns() []error {
	return []error{windows.ERROR_DISK_FULL, syscall.Errno(windows.ERROR_HANDLE_DISK_FULL)}
}
