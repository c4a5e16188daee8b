package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// scratch returns a directory where a program would have one of its user's, such as that of os.UserConfigDir.
func scratch() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

// A command records its event when it has ended. In a program, main begins with outbox.Main, and Sink is set.
func ExampleOutbox_Record() {
	dir, remove := scratch()
	defer remove()
	ctx := context.Background()
	box, err := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Consent: outbox.ForceOn})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()
	recorded, err := box.Record(ctx, func(tx *outbox.Tx) error {
		id, err := tx.InstallID(ctx)
		if err != nil {
			return err
		}
		return tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: id, Properties: json.RawMessage(`{"name_length":5}`)})
	})
	if err != nil {
		fmt.Println("nothing was recorded:", err) // no reason to fail the command
	}
	fmt.Println("tell the user that events are kept:", recorded.First)
	// Output:
	// tell the user that events are kept: true
}

// The tables of a program are in the outbox's database. One transaction changes them and adds a message, or
// does neither. A program embeds its migrations; fs.Sub takes them out of their directory.
func ExampleConfig_tables() {
	dir, remove := scratch()
	defer remove()
	ctx := context.Background()
	box, err := outbox.New(outbox.Config{
		Path: filepath.Join(dir, "hello.db"), Consent: outbox.ForceOn,
		Tables: fstest.MapFS{"0001_greetings.sql": {Data: []byte(`CREATE TABLE greetings (name TEXT NOT NULL) STRICT`)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()
	_, err = box.Record(ctx, func(tx *outbox.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO greetings (name) VALUES (?)`, "Ada"); err != nil {
			return err
		}
		return tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: "somebody"})
	})
	if err != nil {
		log.Fatal(err)
	}
	err = box.View(ctx, func(tx *outbox.Tx) error {
		var name, event string
		err := tx.QueryRowContext(ctx, `SELECT name, event FROM greetings, messages`).Scan(&name, &event)
		fmt.Println(name, event)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// Ada greeted
}
