//go:build unix

package main

import "os"

// knowsColours tells whether a terminal takes ANSI escape sequences. All do.
func knowsColours(*os.File) bool { return true }
