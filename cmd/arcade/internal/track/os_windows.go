package track

import (
	"strconv"

	"golang.org/x/sys/windows"
)

// osRelease returns the major version as Python's platform.release() has it: Windows 11 still
// calls itself 10.0 and is told by its build number,
// https://learn.microsoft.com/windows/release-health/windows11-release-information.
func osRelease() string {
	v := windows.RtlGetVersion()
	if v.MajorVersion == 10 && v.BuildNumber >= 22000 {
		return "11"
	}
	return strconv.FormatUint(uint64(v.MajorVersion), 10)
}
