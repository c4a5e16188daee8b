// Command row is a cobra program that commits BENCH_EVENT as one row to SQLite, with one sync: what
// arcade's engine costs by itself. It leaves without closing, as arcade does, because a last close
// syncs three times more.
package main

import (
	"database/sql"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	_ "modernc.org/sqlite"
)

func main() {
	root := &cobra.Command{Use: "row", RunE: func(*cobra.Command, []string) error {
		return insert(filepath.Join(os.Getenv("HOME"), "usage.sqlite"), os.Getenv("BENCH_EVENT"))
	}}
	if root.Execute() != nil {
		os.Exit(1)
	}
}

func insert(path, event string) error {
	_, statErr := os.Stat(path)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	if os.IsNotExist(statErr) {
		_, err := db.Exec("PRAGMA journal_mode = WAL; CREATE TABLE messages (seq INTEGER PRIMARY KEY, event TEXT NOT NULL) STRICT")
		if err != nil {
			return err
		}
	}
	if _, err := db.Exec("INSERT INTO messages (event) VALUES (?)", event); err != nil {
		return err
	}
	wal, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer wal.Close()
	return wal.Sync()
}
