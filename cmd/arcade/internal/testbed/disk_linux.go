package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Roomy is the size of a small disk that is as good as endless, in bytes.
const Roomy = 8 << 20

// MountTmpfs puts a small disk at path until the test ends. Resized by calling it again.
func MountTmpfs(t testing.TB, path string, size int, flags uintptr) {
	t.Helper()
	err := syscall.Mount("tmpfs", path, "tmpfs", flags, fmt.Sprintf("size=%d,mode=0700", size))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENODEV) {
		t.Skip("a small disk cannot be made here: mounting a tmpfs needs root: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if flags&syscall.MS_REMOUNT == 0 {
		t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	}
}

// FillDisk leaves that many free blocks on the home's disk, in a file that EmptyDisk removes.
func (m *Machine) FillDisk(free int) {
	m.Helper()
	var disk syscall.Statfs_t
	m.Require(syscall.Statfs(m.Home, &disk))
	file, err := os.OpenFile(m.filler(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	m.Require(err)
	defer file.Close()
	_, err = file.Write(make([]byte, max(int64(disk.Bavail)-int64(free), 0)*disk.Bsize))
	m.Require(err)
}

// EmptyDisk takes back what FillDisk did.
func (m *Machine) EmptyDisk() {
	m.Helper()
	m.Require(os.Remove(m.filler()))
}

func (m *Machine) filler() string { return filepath.Join(m.Home, "filler") }
