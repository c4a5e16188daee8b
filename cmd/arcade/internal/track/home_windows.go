package track

import "cmp"

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
