package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Config says where an Outbox lives and where its messages go. Only Path is needed.
type Config struct {
	// Path is the database. Its side files lie beside it. A relative path means one below the
	// working directory, as it is when New is called.
	Path string
	// Sink takes the messages. With nil they are kept and not sent.
	Sink Sink
	// Tables are the migrations of the embedder's own tables: SQL files 0001_NAME.sql, 0002_NAME.sql
	// and so on, at the top of the file system. They live in the same database, so that Record
	// changes them and adds messages in one transaction. With nil there are none.
	Tables fs.FS
	// Environment names the variables that the flusher's process needs, such as those that
	// config, the function given to Main, reads. It always gets those of the home directory,
	// of proxies and of certificates, and DO_NOT_TRACK. Values travel through a pipe.
	Environment []string
	// Paths names more of them, which hold a path. It is made absolute: the flusher works in
	// another directory.
	Paths []string
	// Secrets names more variables, which are handed over only when what was just added is held:
	// what Resolve asks with.
	Secrets []string
	// Consent is what the user's environment says about tracking, if it says anything.
	Consent Override

	// Resolve is asked, by a flusher, to decide messages that are held under names, before any
	// of them is sent: with Update and Tx.Decide. It is asked about a name once in a flusher's
	// life. A held message that it leaves goes out as its anon id; a held alias waits.
	Resolve func(ctx context.Context, o *Outbox, names []string) error
	// Released is told, in the deciding transaction, the anon id that held messages go out as.
	Released func(ctx context.Context, tx *Tx, anonID string) error
	// Moved is told, before anything else happens in the transaction, that the database has
	// come from another machine. What was held is decided by then.
	Moved func(ctx context.Context, tx *Tx) error

	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// NewUUID makes the uuid of a message that has none. Nil means version 7, whose order in
	// time keeps the index small.
	NewUUID func() string
	// Jitter returns a random number in [0, 1), by which a back-off differs from machine to
	// machine. Nil means math/rand.
	Jitter func() float64
	// LockWait bounds the wait for the write lock; afterwards SQLite's own locking decides.
	// BusyWait bounds that. Zero means five seconds and one.
	LockWait, BusyWait time.Duration
	// Start starts the flusher's process: the variable marker tells it what it is, environment is
	// what it needs. Nil means detach.Start. A test of a program that records sets it, or calls
	// Main in TestMain: the test's own program would be started.
	Start func(marker string, environment []string) error
	// Point, for testing, is called at the named points of the package's work, where a test
	// stops or kills the process. Nil means not at all.
	Point func(name string)

	existing bool // never create anything: for a flusher, which only finds
}

// Override is what the environment says about tracking, which beats Enable and Disable.
type Override int

// The environment's words on tracking.
const (
	Stored    Override = iota // nothing: what Enable or Disable left counts, and DO_NOT_TRACK
	Granted                   // on
	Withdrawn                 // off
)

// Outbox is the queue in one database file. It belongs to one goroutine at a time; any number
// of processes may have the same file open.
type Outbox struct {
	cfg   Config
	store *store.Store
}

// New returns the outbox at cfg.Path. It touches nothing: the file is opened, and if need be
// created, by the first transaction. The error says what is wrong with the configuration.
func New(cfg Config) (*Outbox, error) {
	if cfg.Path == "" {
		return nil, errors.New("outbox: no path for the database: set Config.Path")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("outbox: a relative path without a working directory: %w", err)
	}
	cfg.Path = path
	cfg = withDefaults(cfg)
	schemas := []store.Schema{{Name: "queue", Migrations: migrations.Queue()}}
	if cfg.Tables != nil {
		tables := store.Schema{Name: "tables", Migrations: cfg.Tables}
		if err := tables.Check(); err != nil {
			return nil, fmt.Errorf("outbox: Config.Tables: %w", err)
		}
		schemas = append(schemas, tables)
	}
	return &Outbox{cfg: cfg, store: store.New(store.Config{
		Path: cfg.Path, Schemas: schemas, Existing: cfg.existing,
		LockWait: cfg.LockWait, BusyWait: cfg.BusyWait, Point: cfg.Point,
	})}, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewUUID == nil {
		cfg.NewUUID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.Start == nil {
		cfg.Start = detach.Start
	}
	if cfg.Point == nil {
		cfg.Point = func(string) {}
	}
	if cfg.Consent == Stored && asksNotToTrack(os.Getenv("DO_NOT_TRACK")) {
		cfg.Consent = Withdrawn
	}
	return cfg
}

// asksNotToTrack reads DO_NOT_TRACK: any value but a word for no asks not to be tracked,
// https://consoledonottrack.com.
func asksNotToTrack(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

// Path returns the absolute path of the database.
func (o *Outbox) Path() string { return o.cfg.Path }

// Close closes the database. The last process to close it moves the WAL into it.
func (o *Outbox) Close() error { return o.store.Close() }
