// Package rival is the cobra program around each way to record an event.
package rival

import (
	"os"

	"github.com/spf13/cobra"
)

// Run runs it as the program's only command.
func Run(record func(event string) error) {
	root := &cobra.Command{Use: "rival", Version: "1", RunE: func(*cobra.Command, []string) error { return record(os.Getenv("BENCH_EVENT")) }}
	if root.Execute() != nil {
		os.Exit(1)
	}
}
