//go:build linux || darwin

package store

import (
	"math"
	"syscall"
)

// freeRoom returns how many bytes this user may still write to the disk that dir is on.
func freeRoom(dir string) int64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return math.MaxInt64
	}
	return int64(disk.Bavail) * int64(disk.Bsize)
}
