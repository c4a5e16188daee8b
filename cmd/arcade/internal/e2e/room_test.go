// Package e2e runs the program as a process, command by command.
package e2e

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// machine is the testbed's, with what this room asks of it.
type machine struct {
	*testbed.Machine
	today *identitytest.Cloud // an Arcade Cloud that logs in by OAuth, if there is one
}

func newMachine(t testing.TB) *machine { return &machine{Machine: testbed.NewMachine(t)} }
