// Command outbox records an event in an outbox that sends to PostHog.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/posthog"
)

func config() (outbox.Config, error) {
	sink := posthog.New(posthog.Config{Host: os.Getenv("BENCH_HOST"), Key: "phc_bench"})
	return outbox.Config{Path: filepath.Join(os.Getenv("HOME"), "usage.db"), Sink: sink, Environment: []string{"BENCH_HOST"}}, nil
}

func main() {
	outbox.Main(config)
	cfg, _ := config()
	box, err := outbox.New(cfg)
	if err != nil {
		panic(err)
	}
	box.Record(context.Background(), func(tx *outbox.Tx) error {
		return tx.Add(context.Background(), outbox.Message{Event: "ran", AnonID: "somebody"})
	})
}
