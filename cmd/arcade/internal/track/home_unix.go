//go:build unix

package track

// userHome is the home directory as Python's expanduser finds it, "" if there is none: the
// Python CLI has to find the same one.
func userHome(env func(string) string) string { return env("HOME") }
