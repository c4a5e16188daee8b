package main

import "cmp"

// userHome is the home directory as Python's expanduser finds it, "" if there is none: the
// Python CLI has to find the same one. Services and logins over a network may have it in
// HOMEDRIVE and HOMEPATH only. HOME is what shells that come with Git set, and only counts where
// Windows' own variables are missing.
func (a *app) userHome() string {
	onDrive := a.env("HOMEPATH")
	if onDrive != "" {
		onDrive = a.env("HOMEDRIVE") + onDrive
	}
	return cmp.Or(a.env("USERPROFILE"), onDrive, a.env("HOME"))
}
