// Command row commits the event as one row to SQLite, with one sync: what arcade's engine costs by itself. It
// leaves without closing, as arcade does, because a last close syncs three times more.
package main

import (
	"database/sql"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/ArcadeAI/arcade-cli/.ci/bench/rival"
)

func main() {
	rival.Run(func(event string) error {
		path := filepath.Join(os.Getenv("HOME"), "usage.sqlite")
		_, statErr := os.Stat(path)
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
		if err == nil && statErr != nil {
			_, err = db.Exec("PRAGMA journal_mode = WAL; CREATE TABLE messages (seq INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT")
		}
		if err == nil {
			_, err = db.Exec("INSERT INTO messages (event) VALUES (?)", event)
		}
		if err != nil {
			return err
		}
		wal, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return wal.Sync()
	})
}
