package identity

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Load returns the current identity, and false if there is none yet.
func Load(ctx context.Context, tx *sql.Tx) (State, bool, error) {
	return scanState(tx.QueryRowContext(ctx, selectState+` WHERE retired_at IS NULL`))
}

// Lookup returns what is stored for anonID, current or retired, and false if it was never
// used here.
func Lookup(ctx context.Context, tx *sql.Tx, anonID string) (State, bool, error) {
	return scanState(tx.QueryRowContext(ctx, selectState+` WHERE anon_id = ?`, anonID))
}

const selectState = `SELECT anon_id, coalesce(principal_id, ''), coalesce(credential, ''), spoke, aliased FROM identities`

func scanState(row *sql.Row) (State, bool, error) {
	var s State
	err := row.Scan(&s.AnonID, &s.PrincipalID, &s.Credential, &s.Spoke, &s.Aliased)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return State{}, false, nil
	case err != nil:
		return State{}, false, fmt.Errorf("read the identity: %w", err)
	}
	return s, true, nil
}

// Save makes after the current identity in place of before, which [Load] returned.
func Save(ctx context.Context, tx *sql.Tx, before, after State, now time.Time) error {
	if before == after {
		return nil
	}
	if before.AnonID != "" && before.AnonID != after.AnonID {
		// First, because only one row may be current. Another program may alias an anon id
		// that is left behind here. Should it come back, this one never will.
		const retire = `UPDATE identities SET retired_at = ?, aliased = 1 WHERE anon_id = ?`
		if err := exec(ctx, tx, retire, now.UnixMilli(), before.AnonID); err != nil {
			return err
		}
	}
	// An anon id that comes back has spoken and is aliased, if it ever was.
	const put = `
INSERT INTO identities (anon_id, principal_id, credential, spoke, aliased, created_at)
VALUES (?, nullif(?, ''), nullif(?, ''), ?, ?, ?)
ON CONFLICT (anon_id) DO UPDATE SET
  principal_id = excluded.principal_id, credential = excluded.credential, retired_at = NULL,
  spoke = max(spoke, excluded.spoke), aliased = max(aliased, excluded.aliased)`
	return exec(ctx, tx, put, after.AnonID, after.PrincipalID, after.Credential, after.Spoke, after.Aliased, now.UnixMilli())
}

func exec(ctx context.Context, tx *sql.Tx, statement string, args ...any) error {
	if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("write the identity: %w", err)
	}
	return nil
}

// Principal returns the principal remembered for a credential's fingerprint, "" if
// there is none.
func Principal(ctx context.Context, tx *sql.Tx, fingerprint string) (string, error) {
	if fingerprint == "" {
		return "", nil
	}
	return selectValue[string](ctx, tx, `SELECT principal_id FROM principals WHERE credential = ?`, fingerprint)
}

// Remember stores the principal of a credential, so that Cloud is asked for it once.
func Remember(ctx context.Context, tx *sql.Tx, fingerprint, principal string, now time.Time) error {
	const put = `INSERT OR REPLACE INTO principals (credential, principal_id, learned_at) VALUES (?, ?, ?)`
	return exec(ctx, tx, put, fingerprint, principal, now.UnixMilli())
}

// refusalLasts is how long a refusal is believed: Arcade Cloud may have been wrong.
const refusalLasts = time.Hour

// Refuse remembers that Arcade Cloud did not accept these credentials.
func Refuse(ctx context.Context, tx *sql.Tx, c Credentials, now time.Time) error {
	const put = `INSERT OR REPLACE INTO refused (credential, token, refused_at) VALUES (?, ?, ?)`
	return exec(ctx, tx, put, c.Fingerprint(), fingerprint("refused", c.Token()), now.UnixMilli())
}

// Refused reports whether Arcade Cloud refused these credentials, and this token,
// within the last hour.
func Refused(ctx context.Context, tx *sql.Tx, c Credentials, now time.Time) (bool, error) {
	const get = `SELECT refused_at FROM refused WHERE credential = ? AND token = ?`
	at, err := selectValue[int64](ctx, tx, get, c.Fingerprint(), fingerprint("refused", c.Token()))
	// A time in the future comes from a clock that was wrong.
	age := now.Sub(time.UnixMilli(at))
	return age >= 0 && age < refusalLasts, err
}

// MirrorDigest returns the digest of the usage.json that was exported or adopted last,
// "" before the first time.
func MirrorDigest(ctx context.Context, tx *sql.Tx) (string, error) {
	return selectValue[string](ctx, tx, `SELECT digest FROM mirror WHERE id = 1`)
}

// SetMirrorDigest stores the digest of the usage.json that agrees with the database.
func SetMirrorDigest(ctx context.Context, tx *sql.Tx, digest string) error {
	return exec(ctx, tx, `INSERT OR REPLACE INTO mirror (id, digest) VALUES (1, ?)`, digest)
}

// selectValue returns the one value that a query yields, the zero value for no row.
func selectValue[T any](ctx context.Context, tx *sql.Tx, query string, args ...any) (value T, err error) {
	err = tx.QueryRowContext(ctx, query, args...).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return value, fmt.Errorf("read the identity: %w", err)
	}
	return value, nil
}

// Period is the time during which this machine used an anon id.
type Period struct {
	AnonID      string
	PrincipalID string    // to which it was linked, "" for none
	From, Until time.Time // Until is zero for the current one
}

// History returns every anon id of this machine, in the order of their first use.
func History(ctx context.Context, tx *sql.Tx) (history []Period, err error) {
	rows, err := tx.QueryContext(ctx, `
SELECT anon_id, coalesce(principal_id, ''), created_at, retired_at FROM identities ORDER BY created_at, rowid`)
	if err != nil {
		return nil, fmt.Errorf("read the identities: %w", err)
	}
	defer rows.Close()
	for err == nil && rows.Next() {
		var p Period
		var from int64
		var until sql.NullInt64
		err = rows.Scan(&p.AnonID, &p.PrincipalID, &from, &until)
		p.From = time.UnixMilli(from).UTC()
		if until.Valid {
			p.Until = time.UnixMilli(until.Int64).UTC()
		}
		history = append(history, p)
	}
	if err = cmp.Or(err, rows.Err()); err != nil {
		return nil, fmt.Errorf("read the identities: %w", err)
	}
	return history, nil
}

// Forget erases every anon id of this machine, Arcade Cloud's answers about its
// credentials, and usage.json, at the path mirror. It is called with the write lock held.
// The file goes before the commit: if it stayed, it would bring its anon id back; if the
// commit fails, it is written again from the database.
func Forget(ctx context.Context, tx *sql.Tx, mirror string) error {
	for _, table := range []string{"identities", "principals", "refused", "mirror"} {
		if err := exec(ctx, tx, `DELETE FROM `+table); err != nil {
			return err
		}
	}
	if err := RemoveFile(mirror); err != nil {
		return fmt.Errorf("forget the identity: %w", err)
	}
	return nil
}
