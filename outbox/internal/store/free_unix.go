//go:build linux || darwin

package store

import "syscall"

// freeRoom returns how many bytes this user may still write to the disk that dir is on.
func freeRoom(dir string) (bytes int64, known bool) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, false
	}
	return int64(disk.Bavail) * int64(disk.Bsize), true
}
