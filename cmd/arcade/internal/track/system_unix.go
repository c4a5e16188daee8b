//go:build unix

package track

import "golang.org/x/sys/unix"

// HomeVariable is the variable that names the home directory.
const HomeVariable = "HOME"

// unquoted returns a directory's name unchanged: here it can contain quotes.
func unquoted(directory string) string { return directory }

// userHome is the home directory as Python's expanduser finds it, "" if there is none: the
// Python CLI has to find the same one.
func userHome(env func(string) string) string { return env("HOME") }

// osRelease returns the kernel's release, "" if it cannot be read.
func osRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
