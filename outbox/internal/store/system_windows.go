package store

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// giveToOwner has nothing to do: files inherit the directory's access list.
func giveToOwner(string) error { return nil }

func permissionError(path, _ string) error { return &PermissionError{Path: path} }

// syncDirectory has nothing to do: a directory cannot be synced there.
func syncDirectory(string) error { return nil }

func fullSync(file *os.File) error { return file.Sync() }

// checkDescriptors finds enough: there is no such limit.
func checkDescriptors(int) error { return nil }

// hasOtherNames looks at nothing: whoever may make such a link could write the target as well.
func hasOtherNames(os.FileInfo) bool { return false }

// systemSigns holds a sharing violation as ErrLocked: another program, such as a backup, keeps the file from every other. ENOTDIR is
// not a sign: Go uses it for a path below a missing directory, too. See ground.
func systemSigns() []sign {
	return []sign{
		{windows.ERROR_DISK_FULL, ErrFull}, {syscall.Errno(windows.ERROR_HANDLE_DISK_FULL), ErrFull},
		{windows.ERROR_SHARING_VIOLATION, ErrLocked}, {windows.ERROR_LOCK_VIOLATION, ErrLocked},
	}
}

// freeRoom returns how many bytes this user may still write to the disk that dir is on.
func freeRoom(dir string) int64 {
	path, err := windows.UTF16PtrFromString(dir)
	free := uint64(math.MaxInt64)
	if err == nil {
		_ = windows.GetDiskFreeSpaceEx(path, &free, nil, nil) // which leaves it when it fails
	}
	return int64(min(free, math.MaxInt64))
}
