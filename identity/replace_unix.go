//go:build unix

package identity

import "os"

// replace renames from to to, which may exist.
func replace(from, to string) error { return os.Rename(from, to) }
