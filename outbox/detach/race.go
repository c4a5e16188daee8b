//go:build race

package detach

import "os"

// settings are what the race detector reads before main: it sleeps a second at the end of a
// process otherwise.
func settings() []string { return []string{"GORACE=" + os.Getenv("GORACE")} }
