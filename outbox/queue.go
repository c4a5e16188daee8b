package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// The caps of the database. Aliases are never dropped: they are few, and what was recorded
// before one would never belong to a person.
const (
	maxPending  = 100_000
	dropAtOnce  = 200 // fewer than one command in a hundred drops them
	maxReceipts = 500
	maxDead     = 1000
	maxAge      = 90 * 24 * time.Hour
	receiptAge  = 7 * 24 * time.Hour
	// agedAtOnce bounds, in rows, what one run drops for its age, so that it takes milliseconds.
	agedAtOnce = 5000
	// longMessage is the length of name and properties, in bytes, above which Add asks the sink whether the message can be sent.
	// Quoted and escaped it may get six times as long; the smallest limit of a service in the field is 32 kB.
	longMessage = 4 << 10
)

// Add adds a message, and fills in what it leaves out. An alias for an anon id that has one already is
// ignored: one anon id is aliased once. A uuid that the queue has already is an error. A full queue drops its
// oldest events and counts them. It returns ErrOff when tracking is off, and an error that says what is wrong
// with a message that could never be sent; above 4 KiB of name and properties the sink is asked, too (an *Unsendable).
func (tx *Tx) Add(ctx context.Context, m Message) error {
	if !tx.mayAdd {
		return ErrOff
	}
	m, err := m.complete(tx.now)
	if err == nil && tx.sink != nil && len(m.Event)+len(m.Properties) > longMessage {
		_, err = wire(tx.sink, m)
	}
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	result, err := tx.ExecContext(ctx, `
		INSERT INTO messages (uuid, kind, event, anon_id, distinct_id, hold, properties, recorded_at)
		VALUES (?, ?, ?, ?, nullif(?, ''), nullif(?, ''), ?, ?)
		ON CONFLICT (anon_id) WHERE kind = 'alias' DO NOTHING`,
		m.UUID, m.Kind, m.Event, m.AnonID, m.DistinctID, m.Hold, string(m.Properties), m.RecordedAt.UnixMilli())
	if store.IsTaken(err) {
		return errors.New("add message: the queue has a message with its uuid")
	}
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	tx.added++
	tx.addedHeld = tx.addedHeld || m.held()
	seq, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	return tx.dropOverflow(ctx, seq)
}

// InstallID returns the random UUID that stands for this installation: made once, kept with the queue,
// and another one after Forget. It is for embedders that have no identity of their own, in a Record or an Update.
func (tx *Tx) InstallID(ctx context.Context) (id string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce(install_id, '') FROM delivery`).Scan(&id)
	if err != nil || id != "" {
		return id, err
	}
	id = uuid.NewString()
	_, err = tx.exec(ctx, "keep the installation's id", `UPDATE delivery SET install_id = ?`, id)
	return id, err
}

// Held selects held messages: those whose distinct id is not known yet. Empty fields match all.
type Held struct {
	Kind   Kind
	AnonID string
	Hold   string
}

// selected is served by the index messages_undecided, however many messages are decided.
const selected = ` WHERE distinct_id IS NULL AND (@kind = '' OR kind = @kind)
	AND (@anon = '' OR anon_id = @anon) AND (@hold = '' OR hold = @hold)`

func (h Held) args() []any {
	return []any{sql.Named("kind", h.Kind), sql.Named("anon", h.AnonID), sql.Named("hold", h.Hold)}
}

// Decide gives the selected messages their distinct id for ever, or with an empty one each its anon id.
func (tx *Tx) Decide(ctx context.Context, h Held, distinctID string) error {
	_, err := tx.exec(ctx, "decide messages",
		`UPDATE messages SET distinct_id = coalesce(nullif(@distinct, ''), anon_id), hold = NULL`+selected,
		append(h.args(), sql.Named("distinct", distinctID))...)
	return err
}

// Withdraw deletes the selected messages, none of which was ever sent.
func (tx *Tx) Withdraw(ctx context.Context, h Held) error {
	_, err := tx.exec(ctx, "withdraw messages", `DELETE FROM messages`+selected, h.args()...)
	return err
}

// Retry makes dead messages pending again, all of them or those with the given numbers or uuids,
// and returns how many. They keep their place in the order and their content. Those for which the
// queue has no room, the newest, stay dead; without any room the error is ErrQueueFull.
func (tx *Tx) Retry(ctx context.Context, ids []string) (retried int, err error) {
	list, _ := json.Marshal(ids) // texts always encode
	counts, err := tx.Counts(ctx)
	if err == nil && counts.Pending >= maxPending {
		err = ErrQueueFull
	}
	if err != nil {
		return 0, err
	}
	return tx.exec(ctx, "retry messages", `
		UPDATE messages SET state = 'pending', attempts = 0, last_error = NULL, settled_at = NULL, refused_alone = 0, refused_at = NULL
		WHERE seq IN (SELECT seq FROM messages WHERE state = 'dead' AND (?1 = 0
			OR uuid IN (SELECT lower(value) FROM json_each(?2)) OR CAST(seq AS TEXT) IN (SELECT value FROM json_each(?2)))
			ORDER BY seq LIMIT ?3)`,
		len(ids), string(list), maxPending-counts.Pending)
}

// dropOverflow makes room for the message that was just added as seq. While the oldest pending one is fewer
// than maxPending numbers behind, the queue cannot be full and is not counted. A full queue drops many events
// at once, so that most commands find room.
func (tx *Tx) dropOverflow(ctx context.Context, seq int64) error {
	if seq <= maxPending {
		return nil
	}
	var full bool
	err := tx.QueryRowContext(ctx, `
		SELECT CASE WHEN ?1 - min(seq) < ?2 THEN 0 ELSE
			(SELECT count(*) FROM messages WHERE state = 'pending') > ?2 END
		FROM messages WHERE state = 'pending'`, seq, maxPending).Scan(&full)
	if err != nil {
		return fmt.Errorf("count messages: %w", err)
	}
	if !full {
		return nil
	}
	return tx.drop(ctx, `seq IN (SELECT seq FROM messages
		WHERE state = 'pending' AND kind = 'capture' ORDER BY seq LIMIT ?)`, dropAtOnce)
}

// drop deletes and counts the events that meet the condition.
func (tx *Tx) drop(ctx context.Context, condition string, args ...any) error {
	dropped, err := tx.exec(ctx, "drop messages", `DELETE FROM messages WHERE kind = 'capture' AND `+condition, args...)
	if err != nil || dropped == 0 {
		return err
	}
	_, err = tx.exec(ctx, "count what was dropped", `UPDATE delivery SET dropped = dropped + ?`, dropped)
	return err
}

// dropOld drops what is older than it may get, a bounded number at a time.
func (tx *Tx) dropOld(ctx context.Context) error {
	_, err := tx.exec(ctx, "drop receipts", `DELETE FROM messages WHERE state = 'delivered' AND settled_at < ?`,
		moment(tx.now.Add(-receiptAge)))
	for _, state := range []State{Pending, Dead} {
		if err == nil {
			err = tx.drop(ctx, `recorded_at < ? AND seq IN (SELECT seq FROM messages WHERE state = ? ORDER BY seq LIMIT ?)`,
				moment(tx.now.Add(-maxAge)), state, agedAtOnce)
		}
	}
	return err
}

// eraseAll deletes every message and counts those that were waiting. With installID it forgets that id, too.
func (tx *Tx) eraseAll(ctx context.Context, installID bool) (waiting int, err error) {
	err = tx.QueryRowContext(ctx, `
		UPDATE delivery SET install_id = CASE WHEN NOT ? THEN install_id END,
			erased = erased + (SELECT count(*) FROM messages WHERE state = 'pending')
		RETURNING (SELECT count(*) FROM messages WHERE state = 'pending')`, installID).Scan(&waiting)
	if err != nil {
		return 0, fmt.Errorf("count what is erased: %w", err)
	}
	_, err = tx.exec(ctx, "erase messages", `DELETE FROM messages`)
	return waiting, err
}

const (
	maxMachines = 50
	// seenAgain is for how long a machine is not stored again: most transactions write nothing here.
	seenAgain = 24 * time.Hour
)

// arrive adds this machine to those that the database knows. A home that was copied from another machine exists twice,
// and the two could decide what is held differently: the other one decides. Here held aliases are deleted, held events
// go out as their anon id, and moved is called unless it is nil. Machines that share a home are all known. A home that
// was copied onto a machine that it knows looks like a shared one.
func (tx *Tx) arrive(ctx context.Context, moved func(context.Context, *Tx) error) error {
	id := machine.ID()
	if id == "" {
		return nil
	}
	mark, known := "", strings.Fields(tx.machines) // mark, time, mark, time ...
	for i := 0; i+1 < len(known); i += 2 {
		if !machine.IsMark(known[i], id) {
			continue
		}
		if seen, _ := strconv.ParseInt(known[i+1], 10, 64); tx.now.Sub(time.UnixMilli(seen)).Abs() < seenAgain {
			return nil
		}
		mark = known[i]
	}
	hasMoved := mark == "" && len(known) > 0
	if mark == "" {
		mark = machine.NewMark(id)
	}
	_, err := tx.exec(ctx, "note the machine", `
		INSERT INTO machines (mark, seen_at) VALUES (?1, ?2) ON CONFLICT (mark) DO UPDATE SET seen_at = ?2;
		DELETE FROM machines WHERE mark NOT IN (SELECT mark FROM machines ORDER BY seen_at DESC LIMIT ?3)`,
		mark, tx.now.UnixMilli(), maxMachines)
	if err != nil || !hasMoved {
		return err
	}
	if err := tx.Withdraw(ctx, Held{Kind: Alias}); err != nil {
		return err
	}
	if err := tx.Decide(ctx, Held{Kind: Capture}, ""); err != nil || moved == nil {
		return err
	}
	return moved(ctx, tx)
}
