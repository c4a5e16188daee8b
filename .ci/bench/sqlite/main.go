// Command sqlite writes a row and posts it, as a program without an outbox would.
package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"net/http"
	"os"

	_ "modernc.org/sqlite"
)

func main() {
	if len(os.Args) < 3 {
		return
	}
	event, err := json.Marshal(os.Args)
	if err != nil {
		panic(err)
	}
	db, err := sql.Open("sqlite", os.Args[1])
	if err == nil {
		_, err = db.Exec("INSERT INTO messages VALUES (?)", event)
	}
	if err != nil {
		panic(err)
	}
	http.Post(os.Args[2], "application/json", bytes.NewReader(event))
}
