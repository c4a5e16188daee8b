// Package fire holds the promises under fire: processes are killed and stopped, disks are full or
// damaged, networks fail in every way. `make torture` runs its long form.
package fire

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// machine is the testbed's, with what this room asks of it.
type machine struct{ *testbed.Machine }

func newMachine(t testing.TB) *machine { return &machine{testbed.NewMachine(t)} }

// with returns the same machine with more in the environment of its commands.
func (m *machine) with(env ...string) *machine { return &machine{m.Machine.With(env...)} }

// unsent returns the machine without a key for PostHog: its commands record, and leave no flusher
// behind that the test would have to wait for.
func (m *machine) unsent() *machine { return m.with("ARCADE_USAGE_KEY=") }

var (
	succeeding = []string{"succeed"}
	failing    = []string{"fail", "x"}
	flushing   = []string{"usage", "flush", "--timeout", "5m"}
)
