// Command child starts a process for each event, which posts it and keeps nothing. It ends at once; the event is
// lost when the process cannot send it.
package main

import (
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/.ci/bench/rival"
	"github.com/ArcadeAI/arcade-cli/outbox/detach"
)

const marker = "BENCH_CHILD"

func main() {
	if is, err := detach.Child(marker); is && err == nil {
		client := http.Client{Timeout: 2 * time.Second}
		body := strings.NewReader(`{"api_key":"phc_bench","batch":[` + os.Getenv("BENCH_EVENT") + `]}`)
		_, _ = client.Post(os.Getenv("BENCH_HOST")+"/batch/", "application/json", body)
		return
	}
	rival.Run(func(event string) error {
		return detach.Start(marker, []string{"BENCH_HOST=" + os.Getenv("BENCH_HOST"), "BENCH_EVENT=" + event})
	})
}
