package testbed

import (
	"database/sql"
	"fmt"
)

// Query reads one value from the database as it lies on disk.
func (m *Machine) Query(statement string, args ...any) (value string) {
	m.Helper()
	db := m.openDatabase("&mode=ro")
	defer db.Close()
	if err := db.QueryRow(statement, args...).Scan(&value); err != nil {
		m.Fatalf("%s: %v", statement, err)
	}
	return value
}

// Change runs a statement as a person with a SQLite shell would, and so moves the WAL into the database.
func (m *Machine) Change(statement string) {
	m.Helper()
	db := m.openDatabase("")
	defer db.Close()
	_, err := db.Exec(statement)
	m.Require(err)
}

// Multiply adds n copies of the first message, each of them larger by so many bytes.
func (m *Machine) Multiply(n, larger int) {
	m.Helper()
	m.Change(fmt.Sprintf(`
		WITH RECURSIVE copies(seq) AS (SELECT max(seq) + 1 FROM messages UNION ALL SELECT seq + 1 FROM copies LIMIT %d)
		INSERT INTO messages (uuid, kind, event, anon_id, distinct_id, properties, recorded_at)
		SELECT printf('01a21308-b607-73e6-98c2-%%012x', copies.seq), kind, event, anon_id, distinct_id,
			json_set(properties, '$.padding', hex(zeroblob(%d))), recorded_at
		FROM messages, copies WHERE messages.seq = 1`, n, larger/2))
}

// HoldDatabase writes to the database as another program would, and does not finish before end is called or the test is over.
func (m *Machine) HoldDatabase() (end func()) {
	m.Helper()
	db := m.openDatabase("&_txlock=immediate")
	tx, err := db.Begin()
	m.Require(err)
	end = func() {
		tx.Rollback()
		db.Close()
	}
	m.Cleanup(end)
	return end
}

func (m *Machine) openDatabase(options string) *sql.DB {
	m.Helper()
	db, err := sql.Open("sqlite", "file:"+m.Path("usage.db")+"?_busy_timeout=5000"+options)
	m.Require(err)
	return db
}
