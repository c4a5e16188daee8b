//go:build !linux && !darwin && !windows

package machine

// ID knows no id on this system.
func ID() string { return "" }
