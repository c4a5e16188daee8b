// Command sqlite writes a row and posts it, as a program without an outbox would. It is weighed and never run.
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
	event, _ := json.Marshal(os.Args)
	db, _ := sql.Open("sqlite", os.Args[1])
	_, _ = db.Exec("INSERT INTO messages VALUES (?)", event)
	_, _ = http.Post(os.Args[2], "application/json", bytes.NewReader(event))
}
