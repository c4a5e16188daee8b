//go:build unix

package main

// userHome is the home directory as Python's expanduser finds it, "" if there is none: the
// Python CLI has to find the same one.
func (a *app) userHome() string { return a.env("HOME") }
