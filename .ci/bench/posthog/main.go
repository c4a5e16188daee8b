// Command posthog sends the event with posthog-go and waits for it, as the library's documentation shows. With its
// defaults it would wait for minutes for a silent server; half a second is what a patient author might choose.
package main

import (
	"os"
	"time"

	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/.ci/bench/rival"
)

func main() {
	rival.Run(func(event string) error {
		client, err := posthog.NewWithConfig("phc_bench", posthog.Config{
			Endpoint: os.Getenv("BENCH_HOST"), IsServer: posthog.Ptr(false), ShutdownTimeout: 500 * time.Millisecond,
		})
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Enqueue(posthog.Capture{
			DistinctId: "11111111-1111-4111-8111-111111111111", Event: "CLI execution succeeded", Properties: posthog.Properties{"event": event},
		})
	})
}
