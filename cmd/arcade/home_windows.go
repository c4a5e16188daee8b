package main

import "cmp"

// userHome is the home directory as Python's expanduser finds it, "" if there is none: the
// Python CLI has to find the same one. HOME is what shells that come with Git set, and only
// counts where Windows' own variable is missing.
func (a *app) userHome() string { return cmp.Or(a.env("USERPROFILE"), a.env("HOME")) }
