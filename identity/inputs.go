package identity

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Command is a command other than a successful login or logout.
type Command struct {
	// Credential is the fingerprint of the credentials file, "" for none; Principal
	// what is remembered for it, "" when unknown.
	Credential, Principal string
	// Key and KeyPrincipal are the same for the key in the environment, which owns this one
	// event and never changes the state.
	Key, KeyPrincipal string
}

func (in Command) apply(t *transition) {
	t.begin()
	t.see(in.Credential, in.Principal)
	t.record(in.Credential, in.Key, in.KeyPrincipal)
}

// Apart is a command or a login that uses a self-hosted installation, or credentials that
// could not be read: its event is the anon id's, and the identity stays as it is.
type Apart struct{}

func (Apart) apply(t *transition) {
	t.begin()
	t.recordAsAnon()
}

// Login is a login that wrote Credential. Principal is "" if Arcade Cloud did not answer
// in time.
type Login struct {
	Credential, Principal string
}

func (in Login) apply(t *transition) {
	t.begin()
	switch {
	case t.linked():
		if in.Principal != "" {
			t.relink(in.Credential, in.Principal)
		}
	case !t.unlinked() && in.Principal == "":
		t.await(in.Credential)
	case !t.unlinked():
		// The user has said who they are: alias even an anon id that never spoke.
		t.link(in.Credential, in.Principal, true)
	default:
		in.claim(t)
	}
	t.record(in.Credential, "", "")
}

// claim gives an unlinked machine to the user who logged in. Events that waited on other
// credentials become the anon id's, and their alias serves the login: an anon id has one
// alias.
func (in Login) claim(t *transition) {
	if in.Credential != t.Credential {
		t.settleAsAnon(t.Credential)
		t.Spoke = true
		t.Credential = in.Credential
	}
	if in.Principal != "" {
		t.step(DecideAlias, in.Principal, "")
		t.Aliased = true
		t.decideWaiting(in.Credential, in.Principal)
		t.PrincipalID = in.Principal
	}
}

// Logout is a logout, even one without a login.
type Logout struct {
	Credential string // the fingerprint of the login that it removed, "" for none
	// Apart says that a self-hosted context was active, and that a login of Arcade Cloud
	// went with it.
	Apart bool
}

func (in Logout) apply(t *transition) {
	t.begin()
	switch {
	case t.linked():
		if in.Credential != "" && in.Credential != t.Credential {
			t.settleAsAnon(in.Credential)
		}
		// Still the old principal's event, whoever the file belonged to: the next
		// identity must not begin with another user's farewell.
		in.record(t)
		t.rotate()
	case t.unlinked():
		t.settleAsAnon(t.Credential)
		t.step(DropAlias, "", "")
		t.Credential = "" // anonymous already: the logout's event does not wait
		in.record(t)
		t.rotate()
	default:
		in.record(t)
	}
}

func (in Logout) record(t *transition) {
	if in.Apart {
		t.recordAsAnon()
		return
	}
	t.record("", "", "")
}

// Learned is Arcade Cloud's answer to a flusher: Credential is Principal's.
type Learned struct {
	Credential, Principal string
	// InFile says that the credentials file has this fingerprint now. Otherwise the state
	// changes only if the answer is about its own credential, and never for a key from the
	// environment.
	InFile bool
}

func (in Learned) apply(t *transition) {
	own := in.Credential == t.Credential
	switch {
	case t.unlinked() && own:
		t.learn(in.Principal)
	case t.linked() && (own || in.InFile):
		t.relink(in.Credential, in.Principal)
	default:
		t.decideWaiting(in.Credential, in.Principal)
	}
}

// Released is a flusher that sends events whose principal it could not learn: they go
// out as the anon id under which they were recorded. A waiting alias waits on, and
// stitches them later.
type Released struct{ AnonID string }

func (in Released) apply(t *transition) { t.Spoke = t.Spoke || in.AnonID == t.AnonID }

// Adopted is a usage.json that another program has changed, or the one found on a
// machine that was never seen.
type Adopted struct {
	AnonID, PrincipalID string // in the file
	Known               State  // what was stored here for AnonID, zero for nothing
}

func (in Adopted) apply(t *transition) {
	if in.AnonID == t.AnonID && in.PrincipalID == t.PrincipalID {
		return
	}
	if t.AnonID != "" {
		// What waits was recorded under the old identity, on credentials that may never
		// come back.
		t.settleAsAnon("")
	}
	if t.unlinked() {
		t.step(DropAlias, "", "")
	}
	// An anon id that was ever linked belongs to a principal, even if no alias was needed:
	// no two principals share one. That must never be forgotten.
	taken := in.PrincipalID != "" || in.Known.Aliased || in.Known.linked() || in.AnonID == t.AnonID && (t.Aliased || t.linked())
	// The Python CLI keeps a principal although another user has logged in. So a
	// principal from the file is without credentials, and those that are present wait
	// for Arcade Cloud's word, once.
	t.State = State{AnonID: in.AnonID, PrincipalID: in.PrincipalID, Spoke: true, Aliased: taken}
}

// Moved is a database that was carried to another machine, in a copied home or an
// image. The machine it came from goes on with the same anon id, and each may meet
// another principal: so the anon id is left behind, for ever (see [Save]), and with it
// the alias that waits. Undecided events become the anon id's, here as there: PostHog
// takes the copies for one.
//
// It comes before everything else that a command or flusher does.
type Moved struct{}

func (Moved) apply(t *transition) {
	if t.AnonID == "" {
		return
	}
	t.steps = append(t.steps, Step{Kind: DecideEvents})
	if t.unlinked() {
		t.step(DropAlias, "", "")
	}
	t.rotate()
}

// maxIDLength is where PostHog cuts a distinct id, in characters.
const maxIDLength = 200

// validAnonID reports a UUID as Python's str(uuid) writes it, and not in the other forms
// that uuid.Validate accepts (braces, urn:, no dashes).
func validAnonID(id string) bool {
	return len(id) == len(uuid.Nil.String()) && uuid.Validate(id) == nil
}

// validPrincipalID reports whether id can be one user's distinct id: PostHog neither cuts
// it nor refuses to merge into it, and it is safe to print on a terminal.
func validPrincipalID(id string) bool {
	return id != "" && id == strings.TrimSpace(id) &&
		utf8.RuneCountInString(id) <= maxIDLength &&
		!strings.ContainsFunc(id, unprintable) && !refusedByPostHog(id)
}

// unprintable includes the character that stands for invalid UTF-8.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// refusedByPostHog reports the placeholders of broken clients, which PostHog refuses in
// merges: some in any case, some in lower case only, and all of them in quotes, too.
func refusedByPostHog(id string) bool {
	return slices.Contains([]string{
		"anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated",
		"email", "undefined", "true", "false", "[object object]", "nan", "none", "null", "0", "",
	}, strings.ToLower(strings.TrimSpace(strings.Trim(id, `"'`))))
}
