package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// isDamage tells whether SQLite says that the file's content is not a sound database. It has no code
// of its own for a format that there is none of.
func isDamage(err error) bool {
	return isCode(err, codeCorrupt) || isCode(err, codeNotADB) || isExtended(err, codeShortRead) ||
		isCode(err, codeError) && strings.Contains(err.Error(), "unsupported file format")
}

// isSuspicious tells whether err can come of damage that SQLite does not notice: a table that is
// not there, a constraint that does not hold. It can as well be the caller's own.
func isSuspicious(err error) bool {
	return isCode(err, codeError) || isCode(err, codeTooBig) || isCode(err, codeConstraint) || isCode(err, codeMismatch)
}

// isDamaged tells whether err came of damage to the database. A caller's error makes it look at all
// of the database once, not with each transaction.
func (s *Store) isDamaged(ctx context.Context, err error) bool {
	if s.causeOf(err) == ErrDamaged {
		return true
	}
	if !isSuspicious(err) || s.checked {
		return false
	}
	s.checked = true
	return s.isUnsound(ctx)
}

// Mend looks at all of the database, since no statement may have met its damage yet, and replaces it
// if it has some. Nobody waits for the lock while it looks. No database is none that is damaged.
func (s *Store) Mend(ctx context.Context) error {
	if !s.exists() || !s.isUnsound(ctx) {
		return ctx.Err()
	}
	return s.Locked(ctx, func() error {
		switch {
		case s.lock == nil:
			return fmt.Errorf("%w, and %w", ErrDamaged, ErrLocked)
		case !s.isUnsound(ctx): // somebody else has mended it
			return nil
		default:
			return s.explain("replace the damaged database", s.replace(ctx))
		}
	})
}

// isUnsound tells whether the database is ours and lacks something of ours, or is not intact.
func (s *Store) isUnsound(ctx context.Context) bool {
	db, err := connect(s.cfg.Path, s.cfg.BusyWait)
	if err != nil {
		return false
	}
	defer db.Close()
	found, err := readHead(ctx, db)
	if err != nil {
		return isDamage(err)
	}
	versions, err := s.accept(ctx, db, found)
	if err != nil {
		return isDamage(err)
	}
	own, err := s.ownObjects(ctx, versions)
	if err != nil {
		return false
	}
	objects, err := objectsOf(ctx, db)
	if err != nil {
		return isDamage(err) || isCode(err, codeError)
	}
	if !isSubset(own, objects) {
		return true
	}
	lines, err := texts(ctx, db, "PRAGMA integrity_check")
	return isDamage(err) || slices.ContainsFunc(lines, func(line string) bool { return line != "ok" && !isOthersValue(line, own) })
}

// isOthersValue tells whether a line of integrity_check reports a value that its column does not allow,
// in a table that is not ours: that says nothing of the file. "CHECK constraint failed in TABLE", "NULL
// value in TABLE.COLUMN" and the like are such lines.
func isOthersValue(line string, own []string) bool {
	what, where, found := strings.Cut(line, " in ")
	kind, ofValue := strings.CutSuffix(what, " value")
	table, _, _ := strings.Cut(where, ".")
	return found && table != "" && !slices.Contains(own, "table "+table) &&
		(what == "CHECK constraint failed" || ofValue && kind != "" && !strings.Contains(kind, " "))
}
