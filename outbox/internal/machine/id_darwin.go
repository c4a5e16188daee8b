package machine

import "golang.org/x/sys/unix"

// ID returns the hardware's UUID, "" when the kernel does not tell.
func ID() string {
	id, err := unix.Sysctl("kern.uuid")
	if err != nil {
		return ""
	}
	return id
}
