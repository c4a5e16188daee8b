//go:build !race

package detach

func settings() []string { return nil }
