//go:build unix

package identity

import "os"

// replace renames from to to, which may exist.
func replace(from, to string) error { return os.Rename(from, to) }

func remove(path string) error { return os.Remove(path) }
