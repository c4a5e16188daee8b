// Command arcade is Arcade's command line.
package main

import (
	"context"
	"io"
	"log"
	"os"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Set by the release build with -ldflags "-X main.version=... -X main.usageKey=...".
var (
	version  = ""
	usageKey = "" // PostHog's project key; without one events are kept and not sent
)

func main() {
	log.SetOutput(io.Discard) // net/http writes there what a server sends without having been asked
	app := cli.New(version, usageKey)
	outbox.Main(app.Track.Config) // in the flusher's process this delivers and does not return
	os.Exit(app.Run(cli.WithSignals(context.Background()), os.Args[1:]))
}
