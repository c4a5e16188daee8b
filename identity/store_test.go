package identity

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/ArcadeAI/arcade-cli/migrations"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// inTx runs the test in a transaction on a real database file.
func inTx(t *testing.T) *sql.Tx {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "usage.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	files, err := fs.Glob(migrations.Identity(), "*.sql")
	must(t, err)
	for _, file := range files {
		statements, err := fs.ReadFile(migrations.Identity(), file)
		must(t, err)
		_, err = db.ExecContext(t.Context(), string(statements))
		must(t, err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func mustSave(t *testing.T, tx *sql.Tx, before, after State, now time.Time) {
	t.Helper()
	must(t, Save(t.Context(), tx, before, after, now))
}

// checkLookup checks what is known of an anon id, current or retired.
func checkLookup(t *testing.T, tx *sql.Tx, want State) {
	t.Helper()
	got, ok, err := Lookup(t.Context(), tx, want.AnonID)
	if err != nil || !ok || got != want {
		t.Errorf("known of %s is %+v, %v, %v; want %+v", want.AnonID, got, ok, err, want)
	}
}

func checkLoad(t *testing.T, tx *sql.Tx, want State) {
	t.Helper()
	if got, ok, err := Load(t.Context(), tx); err != nil || !ok || got != want {
		t.Errorf("the current identity is %+v, %v, %v; want %+v", got, ok, err, want)
	}
	checkLookup(t, tx, want)
}

func TestAnIdentityIsSavedAsItIs(t *testing.T) {
	for _, s := range []State{mute, anonymous, taken, unlinked, unlinkedS, linked, linkedNoF} {
		tx := inTx(t)
		before, found, err := Load(t.Context(), tx)
		known, foundToo, lookupErr := Lookup(t.Context(), tx, a)
		if must(t, err, lookupErr); found || foundToo || before != (State{}) || known != (State{}) {
			t.Errorf("a new database has %+v, and knows %+v; want nothing", before, known)
		}
		mustSave(t, tx, State{}, s, noon)
		checkLoad(t, tx, s)
	}
}

func TestAnAnonIDIsRetiredAndForgetsNothing(t *testing.T) {
	tx := inTx(t)
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	next := State{AnonID: n1}
	mustSave(t, tx, State{}, anonymous, hour(0))
	mustSave(t, tx, anonymous, linked, hour(1))
	checkLoad(t, tx, linked)
	mustSave(t, tx, linked, next, hour(2))
	checkLoad(t, tx, next)
	checkLookup(t, tx, linked)
	want := []Period{{AnonID: a, PrincipalID: p, From: hour(0), Until: hour(2)}, {AnonID: n1, From: hour(2)}}
	if got, err := History(t.Context(), tx); err != nil || !slices.Equal(got, want) {
		t.Errorf("the history is %+v, %v; want when each anon id was first and last used: %+v", got, err, want)
	}
	mustSave(t, tx, next, State{AnonID: a}, hour(3))
	checkLoad(t, tx, State{AnonID: a, Spoke: true, Aliased: true})
	checkLookup(t, tx, State{AnonID: n1, Aliased: true}) // another program may go on with it
}

func TestNothingIsWrittenForAnUnchangedIdentity(t *testing.T) {
	tx := inTx(t)
	mustSave(t, tx, State{}, linked, noon)
	_, err := tx.ExecContext(t.Context(), `PRAGMA query_only = 1`)
	must(t, err)
	mustSave(t, tx, linked, linked, noon.Add(time.Hour)) // in every command
}

func TestAWrongIdeaOfTheCurrentIdentityIsRefused(t *testing.T) {
	tx := inTx(t)
	mustSave(t, tx, State{}, linked, noon)
	if err := Save(t.Context(), tx, State{}, State{AnonID: n1}, noon); err == nil {
		t.Error("two identities are current; want an error")
	}
}

func TestPrincipalsAndTheMirrorsDigestAreKept(t *testing.T) {
	tx := inTx(t)
	ctx := t.Context()
	for _, want := range []string{"", p, q} {
		if want != "" {
			must(t, Remember(ctx, tx, f1, want, noon), SetMirrorDigest(ctx, tx, "digest of "+want))
		}
		for credential, want := range map[string]string{f1: want, f2: "", "": ""} {
			if got, err := Principal(ctx, tx, credential); err != nil || got != want {
				t.Errorf("%q is %q's, %v; want %q", credential, got, err, want)
			}
		}
		if got, err := MirrorDigest(ctx, tx); err != nil || strings.TrimPrefix(got, "digest of ") != want {
			t.Errorf("the digest is %q, %v; want that of %q", got, err, want)
		}
	}
}

func TestABrokenDatabaseIsAnErrorAndNotANewIdentity(t *testing.T) {
	tx := inTx(t)
	ctx := t.Context()
	_, err := tx.ExecContext(ctx, `DROP TABLE identities; DROP TABLE principals; DROP TABLE mirror; DROP TABLE refused`)
	must(t, err)
	_, _, loadErr := Load(ctx, tx)
	_, historyErr := History(ctx, tx)
	_, refusedErr := Refused(ctx, tx, keyLogin, noon)
	_, principalErr := Principal(ctx, tx, f1)
	_, digestErr := MirrorDigest(ctx, tx)
	for call, err := range map[string]error{
		"Load": loadErr, "History": historyErr, "Principal": principalErr, "Refused": refusedErr, "MirrorDigest": digestErr,
		"Save":            Save(ctx, tx, mute, linked, noon),
		"Save, retiring":  Save(ctx, tx, mute, State{AnonID: n1}, noon),
		"Remember":        Remember(ctx, tx, f1, p, noon),
		"Refuse":          Refuse(ctx, tx, keyLogin, noon),
		"SetMirrorDigest": SetMirrorDigest(ctx, tx, "x"),
		"Forget":          Forget(ctx, tx, ""),
	} {
		if err == nil {
			t.Errorf("%s found nothing wrong with a database without tables", call)
		}
	}
}

func TestARefusalIsBelievedForAnHour(t *testing.T) {
	tx := inTx(t)
	login := Credentials{AccessToken: "t1", Email: "a@b.c"}
	renewed, other := login, login
	renewed.AccessToken, other.Email = "t2", "x@b.c"
	must(t, Refuse(t.Context(), tx, login, noon))
	for _, c := range []struct {
		name  string
		login Credentials
		after time.Duration
		want  bool
	}{
		{"at once", login, 0, true}, {"within the hour", login, 59 * time.Minute, true}, {"after an hour", login, time.Hour, false},
		{"when the clock was set back", login, -time.Second, false}, {"another token of the account", renewed, 0, false},
		{"another account", other, 0, false}, {"a key", Credentials{APIKey: "t1"}, 0, false}, {"nothing", Credentials{}, 0, false},
	} {
		if got, err := Refused(t.Context(), tx, c.login, noon.Add(c.after)); err != nil || got != c.want {
			t.Errorf("%s: refused is %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	must(t, Refuse(t.Context(), tx, renewed, noon.Add(2*time.Hour)))
	if got, err := Refused(t.Context(), tx, renewed, noon.Add(2*time.Hour)); err != nil || !got {
		t.Errorf("a second refusal of the account is forgotten: %v, %v", got, err)
	}
}

func TestForgetLeavesNothing(t *testing.T) {
	tx := inTx(t)
	mustSave(t, tx, State{}, linked, noon)
	mustSave(t, tx, linked, State{AnonID: n1}, noon)
	mirror := filepath.Join(t.TempDir(), "usage.json")
	for _, name := range []string{mirror, mirror + ".other"} {
		put(t, name, "{}")
	}
	must(t, Remember(t.Context(), tx, "f", "ada", noon))
	for range 2 { // the second time there is nothing to forget
		must(t, Forget(t.Context(), tx, mirror))
	}
	history, err := History(t.Context(), tx)
	principal, errPrincipal := Principal(t.Context(), tx, "f")
	if err != nil || errPrincipal != nil || len(history) > 0 || principal != "" {
		t.Errorf("%+v and %q are left, %v, %v", history, principal, err, errPrincipal)
	}
	if left, err := filepath.Glob(mirror + "*"); err != nil || !slices.Equal(left, []string{mirror + ".other"}) {
		t.Errorf("%q are left, %v; want usage.json gone, and nothing else", left, err)
	}
}
