// Package migrations holds the schema of usage.db: two sets of numbered SQL files, each of which
// has a version of its own in the database.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed queue/*.sql identity/*.sql
var files embed.FS

// Queue returns the migrations of the queue and its delivery.
func Queue() fs.FS { return sub("queue") }

// Identity returns the migrations of who the messages belong to.
func Identity() fs.FS { return sub("identity") }

func sub(name string) fs.FS {
	set, err := fs.Sub(files, name)
	if err != nil { // only a malformed name
		panic(err)
	}
	return set
}
