package cli

import "testing"

// BenchmarkCommandTree is what every command pays before it runs.
func BenchmarkCommandTree(b *testing.B) {
	a := New("", "")
	for b.Loop() {
		a.Root()
	}
}
