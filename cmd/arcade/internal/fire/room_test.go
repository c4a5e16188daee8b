// Package fire holds the promises under fire: processes are killed and stopped, disks are full or
// damaged, networks fail in every way. Real processes, a real disk, the real posthog-go, the fake PostHog. The short form
// is part of every test run, `make torture` runs the long one. A seed is printed and can be given again.
package fire

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
