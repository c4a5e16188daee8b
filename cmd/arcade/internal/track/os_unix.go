//go:build unix

package track

import "golang.org/x/sys/unix"

// osRelease returns the kernel's release, "" if it cannot be read.
func osRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
