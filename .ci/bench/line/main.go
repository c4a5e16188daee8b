// Command line appends the event to a file and syncs it: the least that a program which loses nothing can do.
package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/ArcadeAI/arcade-cli/.ci/bench/rival"
)

func main() {
	rival.Run(func(event string) error {
		file, err := os.OpenFile(filepath.Join(os.Getenv("HOME"), "usage.jsonl"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = file.WriteString(event + "\n")
		return errors.Join(err, file.Sync())
	})
}
