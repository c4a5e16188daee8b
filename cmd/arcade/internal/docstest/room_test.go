// Package docstest holds the documents against the program: what they tell to type is typed, and
// what they say is compared with the source.
package docstest

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
