package identity

import "testing"

// checkPrivate has nothing to check: on Windows a file in the home directory
// inherits an access list that names its owner alone.
func checkPrivate(*testing.T, string) {}
