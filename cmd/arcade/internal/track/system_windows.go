package track

import (
	"cmp"
	"strconv"
	"strings"

	"golang.org/x/sys/windows"
)

// HomeVariable is the variable that names the home directory.
const HomeVariable = "USERPROFILE"

// unquoted is a directory's name without the quotes that `set NAME="C:\a b"` leaves in the value. Names
// cannot contain any.
func unquoted(directory string) string { return strings.ReplaceAll(directory, `"`, "") }

// userHome is the home directory as Python's expanduser finds it, "" if there is none: the
// Python CLI has to find the same one. Services and logins over a network may have it in
// HOMEDRIVE and HOMEPATH only. HOME is what shells that come with Git set, and only counts where
// Windows' own variables are missing.
func userHome(env func(string) string) string {
	onDrive := env("HOMEPATH")
	if onDrive != "" {
		onDrive = env("HOMEDRIVE") + onDrive
	}
	return cmp.Or(env("USERPROFILE"), onDrive, env("HOME"))
}

// osRelease returns the major version as Python's platform.release() does: Windows 11 still
// calls itself 10.0 and differs by its build number,
// https://learn.microsoft.com/windows/release-health/windows11-release-information.
func osRelease() string {
	v := windows.RtlGetVersion()
	if v.MajorVersion == 10 && v.BuildNumber >= 22000 {
		return "11"
	}
	return strconv.FormatUint(uint64(v.MajorVersion), 10)
}
