// Command hello greets, and lets its makers know how often. HELLO_HOME is the directory of the
// queue, HELLO_USAGE_URL where events go; without a URL they wait.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

func usage() (outbox.Config, error) {
	return outbox.Config{
		Path:        filepath.Join(os.Getenv("HELLO_HOME"), "usage.db"),
		Sink:        httpsink.New(httpsink.Config{URL: os.Getenv("HELLO_USAGE_URL")}),
		Environment: []string{"HELLO_USAGE_URL"}, Paths: []string{"HELLO_HOME"},
	}, nil
}

func main() {
	outbox.Main(usage) // in the flusher's process this delivers and does not return
	flag.Parse()
	if err := run(context.Background(), strings.Join(flag.Args(), " ")); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string) error {
	cfg, _ := usage()
	box, err := outbox.New(cfg)
	if err != nil {
		return err
	}
	switch command {
	case "usage flush":
		_, err = box.Flush(ctx, outbox.FlushOptions{})
	case "usage inspect":
		err = box.View(ctx, func(tx *outbox.Tx) error {
			for m := range tx.Messages(ctx, outbox.Filter{}) {
				fmt.Println(m.Seq, m.Event, m.State)
			}
			return nil
		})
	default:
		fmt.Printf("Hello, %s!\n", command)
		// Nothing that happens to the event is the user's trouble, so its error is left alone.
		box.Record(ctx, func(tx *outbox.Tx) error {
			id, err := tx.InstallID(ctx)
			return errors.Join(err, tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: id}))
		})
	}
	return err
}
