package testbed

import "database/sql"

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
