package testbed

import (
	"errors"
	"os"
	"syscall"
)

// SmallDisk makes the home a disk of 8 MB until the test ends, with these mount flags, or changes the flags of that disk.
func (m *Machine) SmallDisk(flags uintptr) {
	m.Helper()
	err := syscall.Mount("tmpfs", m.Home, "tmpfs", flags, "size=8m,mode=0700")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENODEV) {
		m.Skip("a small disk cannot be made here: mounting a tmpfs needs root: ", err)
	}
	m.Require(err)
	if flags&syscall.MS_REMOUNT == 0 {
		m.Cleanup(func() { syscall.Unmount(m.Home, syscall.MNT_DETACH) })
	}
}

// FillDisk leaves that many free blocks on the home's disk, until empty is called.
func (m *Machine) FillDisk(free int) (empty func()) {
	m.Helper()
	var disk syscall.Statfs_t
	m.Require(syscall.Statfs(m.Home, &disk))
	file, err := os.CreateTemp(m.Home, "filler")
	m.Require(err)
	defer file.Close()
	_, err = file.Write(make([]byte, max(int64(disk.Bavail)-int64(free), 0)*disk.Bsize))
	m.Require(err)
	return func() { m.Require(os.Remove(file.Name())) }
}
