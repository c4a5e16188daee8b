package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/outbox/posthog"
)

// Rows come from a disk: whatever one holds, it is sent, refused or left behind, and its
// neighbours arrive.
func FuzzRowsFoundOnDisk(f *testing.F) {
	empty := emptyDatabase(f)
	now := time.Now().UnixMilli()
	id := uuid.NewString()
	f.Add(id, "capture", "ran", anonB, anonB, "", `{"n":1}`, now, "pending", int64(0), "", int64(0), uint16(0))
	f.Add(id, "alias", "$create_alias", anonB, "person", "", `{}`, now, "pending", int64(1), "no", int64(0), uint16(0))
	f.Add(id, "capture", "ran", anonB, "", "c", `{}`, now, "pending", int64(0), "", int64(0), uint16(0))
	f.Add("x", "capture", "", "", "", "", `[`, int64(-1<<62), "pending", int64(-1), "", int64(1<<62), uint16(0))
	f.Add(id, "capture", "ran", anonB, anonB, "", `{}`, int64(1<<62), "pending", int64(0), "", int64(0), uint16(0))
	f.Add(id, "capture", "ran", anonB, anonB, "", `{"`+strings.Repeat("<", 200_000)+`":1}`, now, "pending", int64(0), "", int64(0), uint16(0))
	f.Add(id, "what", "ran\x00", "\xff", "\u2028", "", "\xff{}", now, "lost", int64(0), "", int64(0), uint16(0))
	f.Add(id, "capture", "ran", anonB, anonB, "", `{}`, now, "pending", int64(0), "", int64(0), uint16(0xffff))
	f.Fuzz(func(t *testing.T, id, kind, event, anon, distinct, credential, properties string, recorded int64,
		state string, attempts int64, lastError string, settled int64, null uint16,
	) {
		row := []any{id, kind, event, anon, distinct, credential, properties, recorded, state, attempts, lastError, settled}
		for i := range row {
			if null&(1<<i) != 0 {
				row[i] = nil
			}
		}
		path := filepath.Join(t.TempDir(), "usage.db")
		if err := os.WriteFile(path, empty, 0o600); err != nil {
			t.Fatal(err)
		}
		neighbours := insertBetween(t, path, row)
		server := outboxtest.NewServer()
		box, err := outbox.New(outbox.Config{Path: path, Sink: posthog.New(posthog.Config{
			Host: "http://posthog.invalid", Key: "phc_test", Transport: direct{server},
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer box.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := box.Flush(ctx, outbox.FlushOptions{}); err != nil {
			t.Errorf("the run ended with %v", err)
		}
		arrived := map[string]bool{}
		for _, c := range server.Events() {
			arrived[c.UUID] = true
		}
		for _, neighbour := range neighbours {
			if !arrived[neighbour] {
				t.Errorf("a row held its neighbour up: %q", row)
			}
		}
	})
}

// direct is a network without wires.
type direct struct{ server http.Handler }

func (d direct) RoundTrip(request *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	d.server.ServeHTTP(answer, request)
	return answer.Result(), nil
}

// emptyDatabase returns a database as it is made.
func emptyDatabase(f *testing.F) []byte {
	f.Helper()
	path := filepath.Join(f.TempDir(), "usage.db")
	box, err := outbox.New(outbox.Config{Path: path})
	if err != nil {
		f.Fatal(err)
	}
	err = box.Update(context.Background(), func(*outbox.Tx) error { return nil })
	if err := errors.Join(err, box.Close()); err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return content
}

// insertBetween puts a row between two good ones, and returns their uuids. It does so behind the
// schema's back, as a torn page does.
func insertBetween(t *testing.T, path string, row []any) (neighbours []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	good := func() []any {
		id := uuid.NewString()
		neighbours = append(neighbours, id)
		return []any{id, "capture", "ran", anonA, anonA, nil, `{}`, time.Now().UnixMilli(), "pending", 0, nil, nil}
	}
	var schema string
	if err := db.QueryRow(`SELECT sql FROM sqlite_schema WHERE name = 'messages'`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	const set = `UPDATE sqlite_schema SET sql = ? WHERE name = 'messages'`
	exec(`PRAGMA ignore_check_constraints = on`)
	exec(`PRAGMA writable_schema = on`)
	exec(set, strings.NewReplacer(" NOT NULL", "", " STRICT", "").Replace(schema))
	exec(`PRAGMA writable_schema = reset`)
	for _, values := range [][]any{good(), row, good()} {
		exec(`INSERT OR IGNORE INTO messages (uuid, kind, event, anon_id, distinct_id, hold, properties,
			recorded_at, state, attempts, last_error, settled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, values...)
	}
	exec(`PRAGMA writable_schema = on`)
	exec(set, schema)
	return neighbours
}
