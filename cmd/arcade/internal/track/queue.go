package track

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// flusherLife bounds the work of a flusher in the background, see outbox.Main.
const flusherLife = 10 * time.Second

// Queue is what was recorded in one home, to be inspected and delivered. What concerns no identity is the embedded
// outbox's.
type Queue struct {
	*outbox.Outbox
	t    *Tracker
	home Home
}

// Queue returns this home's. It touches nothing; the error can be ErrNoHome.
func (t *Tracker) Queue() (*Queue, error) {
	home, box, err := t.open(0)
	if err != nil {
		return nil, err
	}
	return &Queue{box, t, home}, nil
}

// Snapshot is the content of the database at one moment.
type Snapshot struct {
	// AnonID is this home's id, "" while nothing was recorded, and Since when it got it.
	AnonID string
	Since  time.Time
	// PrincipalID is the principal it is linked to, "" for none. Asks says that the principal of the present
	// credentials is not known yet.
	PrincipalID string
	Asks        bool
	Counts      outbox.Counts
	Schedule    outbox.Schedule
	Messages    []outbox.Message
	// Refused says that Arcade Cloud has refused the login lately.
	Refused bool
	// Deaths are the reasons of dead messages, the most frequent first.
	Deaths []Death
	// Consent is what `arcade usage enable` and `disable` have left.
	Consent outbox.Consent
	// Schema is the version of the database.
	Schema int
	// Identities are all ids of this home, in the order of their first use.
	Identities []identity.Period
}

// Death is why messages are dead, and how many.
type Death struct {
	Reason   string `json:"reason"`
	Messages int    `json:"messages"`
}

func deaths(ctx context.Context, tx *outbox.Tx) (list []Death, err error) {
	count := map[string]int{}
	for m, err := range tx.Messages(ctx, outbox.Filter{State: outbox.Dead}) {
		if err != nil {
			return nil, err
		}
		count[m.LastError]++
	}
	for reason, messages := range count {
		list = append(list, Death{reason, messages})
	}
	slices.SortFunc(list, func(a, b Death) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Reason, b.Reason))
	})
	return list, nil
}

// Snapshot reads the database, which Show may migrate. A missing one reads as empty. With an error, too, Snapshot
// has the consent, which is a file beside the database.
func (q *Queue) Snapshot(ctx context.Context, filter outbox.Filter) (s Snapshot, err error) {
	s.Consent = q.ConsentBeside()
	err = q.Show(ctx, filter, s.take)
	return s, err
}

// take is a ShowFunc that sets s, with the messages.
func (s *Snapshot) take(now Snapshot, messages iter.Seq2[outbox.Message, error]) error {
	*s = now
	for m, err := range messages {
		if err != nil {
			return err
		}
		s.Messages = append(s.Messages, m)
	}
	return nil
}

// ShowFunc gets a snapshot without its messages, and these one at a time.
type ShowFunc = func(s Snapshot, messages iter.Seq2[outbox.Message, error]) error

// Show reads the database for show: a long queue takes no more memory than a short one. A database of an earlier
// version is migrated first, unless tracking is off: then it stays untouched and reads as empty.
func (q *Queue) Show(ctx context.Context, filter outbox.Filter, show ShowFunc) error {
	look := q.look(ctx, filter, show)
	err := q.View(ctx, look)
	if errors.Is(err, outbox.ErrOlder) && q.t.Off(q.ConsentBeside()) == nil {
		if err = q.Update(ctx, nothing); err == nil { // a transaction that may write migrates first
			err = q.View(ctx, look)
		}
	}
	if errors.Is(err, outbox.ErrNone) {
		return show(Snapshot{Consent: q.ConsentBeside()}, func(func(outbox.Message, error) bool) {})
	}
	return err
}

func nothing(*outbox.Tx) error { return nil }

// Erasable is Snapshot before an erasure: it migrates a database of an earlier version even with tracking off.
func (q *Queue) Erasable(ctx context.Context) (s Snapshot, err error) {
	if errors.Is(q.View(ctx, nothing), outbox.ErrOlder) {
		if err := q.Update(ctx, nothing); err != nil {
			return s, err
		}
	}
	return q.Snapshot(ctx, outbox.Filter{Limit: 1})
}

// look returns the transaction that reads a snapshot for show.
func (q *Queue) look(ctx context.Context, filter outbox.Filter, show ShowFunc) func(*outbox.Tx) error {
	return func(tx *outbox.Tx) error {
		state, _, err := identity.Load(ctx, tx.Tx)
		if err != nil {
			return err
		}
		s := Snapshot{
			AnonID: state.AnonID, PrincipalID: state.PrincipalID, Asks: state.Credential != "",
			Schedule: tx.Schedule(), Consent: q.ConsentBeside(),
		}
		if s.Identities, err = identity.History(ctx, tx.Tx); err != nil {
			return err
		}
		for _, p := range s.Identities {
			if p.AnonID == s.AnonID {
				s.Since = p.From
			}
		}
		if s.Counts, err = tx.Counts(ctx); err != nil {
			return err
		}
		if s.Counts.Dead > 0 { // else a long queue is read for nothing
			if s.Deaths, err = deaths(ctx, tx); err != nil {
				return err
			}
		}
		login, _ := q.home.Credentials.Read()
		if s.Refused, err = identity.Refused(ctx, tx.Tx, login, tx.Now()); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&s.Schema); err != nil {
			return err
		}
		return show(s, tx.Messages(ctx, filter))
	}
}

// Missed is what was given up within the last week. A flusher that could not be started no longer counts once
// nothing waits for it.
func (q *Queue) Missed(s Snapshot) outbox.Given {
	given := q.GivenUp()
	if given.Up == given.NotStarted && (s.Counts.Pending == 0 || s.Schedule.LastSuccess.After(given.Last)) {
		return outbox.Given{}
	}
	return given
}

// Bytes is the size of the database, with the WAL.
func (q *Queue) Bytes() (size int64) {
	for _, name := range []string{q.Path(), q.Path() + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// Disable switches recording off, erases what waits and returns the number of messages. Late says that a delivery
// is still under way: it took too long to wait for, or ctx ended. After an error, ConsentBeside reports whether
// recording is off all the same.
func (q *Queue) Disable(ctx context.Context) (erased int, late bool, err error) {
	erased, err = q.Outbox.Disable(ctx)
	return q.afterErasing(ctx, erased, err)
}

// Clear erases every message. Its results are those of Disable.
func (q *Queue) Clear(ctx context.Context) (erased int, late bool, err error) {
	erased, err = q.Outbox.Clear(ctx, nil)
	return q.afterErasing(ctx, erased, err)
}

// Forget erases every message and this home's identity, including usage.json, and keeps what `arcade usage enable`
// and `disable` have left. Its results are those of Disable.
func (q *Queue) Forget(ctx context.Context) (erased int, late bool, err error) {
	erased, err = q.Outbox.Forget(ctx, func(tx *outbox.Tx) error { return identity.Forget(ctx, tx.Tx, q.home.mirror()) })
	return q.afterErasing(ctx, erased, err)
}

// afterErasing removes the page, and waits for the flusher, which may have read what is erased.
func (q *Queue) afterErasing(ctx context.Context, erased int, err error) (_ int, late bool, _ error) {
	if err != nil {
		return 0, false, err
	}
	late = !q.AwaitFlusher(ctx, flusherLife)
	if err := identity.RemoveFile(q.Page()); err != nil {
		return erased, late, err
	}
	return erased, late, nil
}

// HasID reports whether there is an id to forget, in the database or for the Python CLI in usage.json.
func (q *Queue) HasID(s Snapshot) bool {
	_, err := os.Lstat(q.home.mirror())
	return s.AnonID != "" || err == nil
}

// Page is the path of the page of `arcade usage report`. Erasing messages removes it.
func (q *Queue) Page() string { return filepath.Join(q.home.dir, "usage.html") }

// Retry makes dead messages pending again, all or those with the given numbers or uuids, and
// returns how many. It makes no database.
func (q *Queue) Retry(ctx context.Context, ids []string) (retried int, err error) {
	if errors.Is(q.View(ctx, nothing), outbox.ErrNone) {
		return 0, nil
	}
	err = q.Update(ctx, func(tx *outbox.Tx) (err error) {
		retried, err = tx.Retry(ctx, ids)
		return err
	})
	return retried, err
}

// Principal returns the principal that was learned for credentials, "" for none, or when tracking is off and the
// database must not be touched.
func (t *Tracker) Principal(ctx context.Context, credentials identity.Credentials) (principal string) {
	_, box, err := t.open(0)
	if err != nil || t.Switches().Override == outbox.ForceOff {
		return ""
	}
	_ = box.View(ctx, func(tx *outbox.Tx) (err error) { // if it cannot be read, it is not known
		principal, err = identity.Principal(ctx, tx.Tx, credentials.Fingerprint())
		return err
	})
	return principal
}
