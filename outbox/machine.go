package outbox

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
)

// settleIn makes a database at home on this machine. One that has come from another machine,
// with a home directory that was copied, is a twin: the other one may decide what both hold
// otherwise. So what is held goes out as its anon id, the aliases that wait are deleted, and the
// embedder leaves the anon id to the twin.
func (o *Outbox) settleIn(ctx context.Context, tx *Tx) error {
	id := machine.ID()
	if id == "" || isMark(tx.machine, id) {
		return nil
	}
	if tx.machine != "" {
		if err := o.leaveTwin(ctx, tx); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE delivery SET machine = ?`, newMark(id)); err != nil {
		return fmt.Errorf("note the machine: %w", err)
	}
	return nil
}

func (o *Outbox) leaveTwin(ctx context.Context, tx *Tx) error {
	if err := tx.Withdraw(ctx, Held{Kind: Alias}); err != nil {
		return err
	}
	if err := tx.Decide(ctx, Held{Kind: Capture}, ""); err != nil {
		return err
	}
	if o.cfg.Moved == nil {
		return nil
	}
	return o.cfg.Moved(ctx, tx)
}

// A mark is a salt and a hash of it and the machine's id, so that neither the database nor its
// copy tells which machine it was.
func newMark(id string) string {
	salt := rand.Text()
	return salt + ":" + hashID(salt, id)
}

func isMark(mark, id string) bool {
	salt, hash, found := strings.Cut(mark, ":")
	return found && hash == hashID(salt, id)
}

func hashID(salt, id string) string {
	sum := sha256.Sum256([]byte("outbox machine\x00" + salt + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}
