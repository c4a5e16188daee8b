//go:build !linux && !windows

package machine

// ID knows no id on this system. macOS has none that can be read without cgo: kern.uuid is the
// kernel's build, the same on all Macs of a version and another one after each update.
func ID() string { return "" }
