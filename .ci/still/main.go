// Command still gives the messages of a queue the same ages and durations in each run, so that
// a picture of it differs only when the program does. .ci/pictures calls it.
package main

import (
	"database/sql"
	"fmt"
	"os"
	"time"

	_ "modernc.org/sqlite"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: still DATABASE")
		return 2
	}
	if err := hold(args[0], time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "still:", err)
		return 1
	}
	return 0
}

// hold puts each moment half a minute from where its wording changes: a picture takes seconds.
// The WAL goes, since its length depends on how often a flusher tried.
func hold(path string, now time.Time) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(fmt.Sprintf(`
		UPDATE messages SET recorded_at = %[1]d - (8 - seq) * %[2]d, properties = json_set(properties, '$.duration', seq * 1.7 + 0.2);
		UPDATE messages SET settled_at = recorded_at + 500 WHERE state <> 'pending';
		UPDATE delivery SET last_success_at = %[1]d - 4 * %[2]d, failing_since = %[1]d - 2 * %[2]d, not_before = %[1]d + 10 * %[2]d;
		PRAGMA wal_checkpoint(TRUNCATE)`,
		now.Add(-30*time.Second).UnixMilli(), time.Minute.Milliseconds()))
	return err
}
