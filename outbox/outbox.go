// Package outbox is a durable queue of usage events for command lines. A command records its event in one
// transaction with whatever else it changes, and ends; a detached process of the same program delivers the
// queue. What that cannot deliver in ten seconds waits for the first command after a back-off, which doubles from
// five seconds to a quarter of an hour.
//
//	func main() {
//		outbox.Main(config) // in the flusher's process this delivers and does not return
//		...
//		box, err := outbox.New(cfg)
//		box.Record(ctx, func(tx *outbox.Tx) error { return tx.Add(ctx, outbox.Message{...}) })
//	}
//
// What was committed is sent at least once, in order, and always with the same uuid, event, distinct id, timestamp and
// properties, so that a server can fold repeats. It leaves the queue with a receipt, when the server has refused it
// for good (visible as dead), by a cap (it is counted), or when the user erases it.
//
// Package initialisation runs in the flusher's process, too. It finds HOME, XDG_* and the others of [detach.Ordinary];
// Main takes all other variables from a pipe. What needs those, or makes files, belongs behind Main.
package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Config says where an Outbox lives and where its messages go. Only Path is needed.
type Config struct {
	// Path is the database, a file of the outbox's own; side files lie beside it. A relative path is below
	// the working directory in which New is called.
	Path string
	// Sink takes the messages. With nil they are kept and not sent.
	Sink Sink
	// Tables are the migrations of the embedder's tables: SQL files 0001_NAME.sql, 0002_NAME.sql and so on,
	// at the top of the file system. They are in the same database, so that Record changes them and adds
	// messages in one transaction. Nil means none.
	Tables fs.FS
	// Environment names the variables that the flusher's process needs, such as those that config, the
	// function given to Main, reads. It always gets those of [detach.Ordinary], of proxies and of
	// certificates, and DO_NOT_TRACK. All but the ordinary ones travel through a pipe.
	Environment []string
	// Paths names more variables, which hold a path. It is made absolute, because the flusher works in
	// another directory.
	Paths []string
	// Secrets names more variables, with which Resolve asks. They are handed over only when a message that
	// was just added is held.
	Secrets []string
	// Consent is what a variable of the embedder's says about tracking.
	Consent Override

	// Resolve decides, in a flusher and before anything is sent, the messages that are held under names:
	// with Update and Tx.Decide. A flusher calls it once for each name. A held message that it leaves goes
	// out as its anon id; a held alias waits.
	Resolve func(ctx context.Context, o *Outbox, names []string) error
	// Released is called in the transaction that lets held messages go out as their anon id.
	Released func(ctx context.Context, tx *Tx, anonID string) error
	// Moved is called first in a transaction when the database has come from another machine. What was held
	// is decided by then.
	Moved func(ctx context.Context, tx *Tx) error

	// Log is told how each delivery in the background has ended. Nil discards it.
	Log *slog.Logger

	// Now is the clock, and Jitter a random number in [0, 1), by which back-offs differ between machines. Nil
	// means time.Now and math/rand.
	Now    func() time.Time
	Jitter func() float64
	// LockWait bounds the wait for the write lock and that for SQLite's own. Zero means five seconds and one. While
	// other processes commit, SQLite's is waited for longer: up to twice the wait for the write lock in all.
	LockWait time.Duration
	// Start starts the flusher's process: the variable marker tells it what it is, environment is
	// what it needs. Nil means detach.Start, and where the end of this process would take the flusher
	// along (it is a container's first process, or a child of it) a wait for its first round, one
	// second at most. A process that has not called Main, or runs tests, starts none.
	Start func(marker string, environment []string) error
	// Point, for testing, is called at the named points of the package's work, where a test stops or kills
	// the process.
	Point func(name string)

	existing bool // never create anything: for a flusher, which only finds
}

// Override is what the user's environment says about tracking. It beats Enable and Disable.
type Override int

// What the environment says. Without an override DO_NOT_TRACK counts, and then the switch: what Enable or
// Disable left.
const (
	NoOverride Override = iota
	ForceOn
	ForceOff
)

// marker is the variable that tells a process that it is a flusher. The embedder would have to keep a
// subcommand apart from flags and aliases.
const marker = "OUTBOX_FLUSHER"

// Outbox is the queue in one database file. Any number of goroutines may use it, and any number
// of processes may have the same file open.
type Outbox struct {
	cfg     Config
	store   *store.Store
	running atomic.Int32 // calls of Run
}

// New returns the outbox at cfg.Path. It touches nothing: the file is opened, and if need be
// created, by the first transaction. The error says what is wrong with the configuration.
func New(cfg Config) (*Outbox, error) {
	if cfg.Path == "" {
		return nil, errors.New("outbox: no path for the database: set Config.Path")
	}
	cfg = withDefaults(cfg)
	var err error
	if cfg.Path, err = filepath.Abs(cfg.Path); err != nil {
		return nil, fmt.Errorf("outbox: a relative path without a working directory: %w", err)
	}
	o := &Outbox{cfg: cfg}
	schemas := []store.Schema{{Migrations: migrations.Queue(), Before: map[int]func(context.Context, *sql.Tx) error{3: o.keepSwitch}}}
	if cfg.Tables != nil {
		tables := store.Schema{Migrations: cfg.Tables}
		if err := tables.Check(); err != nil {
			return nil, fmt.Errorf("outbox: Config.Tables: %w", err)
		}
		schemas = append(schemas, tables)
	}
	o.store = store.New(store.Config{
		Path: cfg.Path, Schemas: schemas, Existing: cfg.existing,
		LockWait: cfg.LockWait, BusyWait: cfg.LockWait, Point: cfg.Point,
	})
	return o, nil
}

// keepSwitch makes the switch's file where an earlier version kept the switch in the database.
func (o *Outbox) keepSwitch(ctx context.Context, tx *sql.Tx) error {
	var off bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM consent WHERE NOT tracking)`).Scan(&off)
	if off {
		err = o.markOff()
	}
	return err
}

// markOff makes the file that is the switch, and syncs it before what waits is erased.
func (o *Outbox) markOff() error {
	err := store.CreateFile(o.offPath())
	if err == nil {
		_, err = store.SyncFile(o.offPath())
	}
	return err
}

func withDefaults(cfg Config) Config {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.Point == nil {
		cfg.Point = func(string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	// Any value but a word for no asks not to be tracked, https://consoledonottrack.com.
	ask := strings.ToLower(strings.TrimSpace(os.Getenv("DO_NOT_TRACK")))
	if cfg.Consent == NoOverride && !slices.Contains([]string{"", "0", "false", "no", "off"}, ask) {
		cfg.Consent = ForceOff
	}
	return cfg
}

// Path returns the absolute path of the database.
func (o *Outbox) Path() string { return o.cfg.Path }

// Close closes the database. The last process to close it moves the WAL into it, which takes three to four syncs: a command
// that ends after Record need not call it.
func (o *Outbox) Close() error { return o.store.Close() }

// Consent is whether usage may be recorded and sent, by what Enable and Disable left.
type Consent struct{ On bool }

// ConsentBeside is what Enable or Disable left, read from the file beside the database: off since Disable, or
// on. It holds also when the database is lost.
func (o *Outbox) ConsentBeside() Consent {
	_, err := os.Lstat(o.offPath())
	return Consent{On: err != nil}
}

func (o *Outbox) offPath() string { return o.cfg.Path + ".off" }

// isOff reports whether nothing is recorded and sent: the environment beats the switch.
func (o *Outbox) isOff() bool {
	return o.cfg.Consent == ForceOff || o.cfg.Consent == NoOverride && !o.ConsentBeside().On
}

// Wire returns a message exactly as it goes over the wire, and sends nothing. A held one appears as its anon
// id's. The error is an *Unsendable for a message that can never be sent.
func (o *Outbox) Wire(m Message) (json.RawMessage, error) {
	if o.cfg.Sink == nil {
		return nil, errors.New("outbox: no sink takes the messages: set Config.Sink")
	}
	return wire(o.cfg.Sink, m)
}
