package identity

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Command is any command other than a login or logout that took place.
type Command struct {
	// Credential is the fingerprint of the credentials file, "" when there is
	// none; Principal what is remembered for it, "" when unknown.
	Credential, Principal string
	// Key and KeyPrincipal are the same for the key in the environment. The
	// key owns this one event and never changes the state.
	Key, KeyPrincipal string
	// Unreadable says that a credentials file exists but cannot be read just
	// now, which counts as no change.
	Unreadable bool
}

func (in Command) apply(t *transition) {
	t.begin()
	file := in.Credential
	if in.Unreadable {
		file = ""
	} else {
		t.meet(in.Credential, in.Principal)
	}
	t.record(file, envKey{in.Key, in.KeyPrincipal})
}

// Apart is a command or a login with an installation that has nothing to do with
// arcade.dev: its event is the anon id's, and the identity stays as it is.
type Apart struct{}

func (Apart) apply(t *transition) {
	t.begin()
	t.recordApart()
}

// Login is a login that has just written Credential. Principal is "" when
// Arcade Cloud did not answer in time.
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
		// A person has said who they are: the alias is made even if the anon
		// id never spoke here.
		t.link(in.Credential, in.Principal, true)
	default:
		in.claim(t)
	}
	t.record(in.Credential, envKey{})
}

// claim makes an unlinked machine that of the person who logged in. Events
// that waited on other credentials go out as the anon id, and the alias that
// waited for those serves the login: an anon id has one alias.
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

// Logout is a logout, also one that found nobody logged in. Credential is the
// fingerprint of the login it removed, "" when there was none.
type Logout struct {
	Credential string
	// Apart says that it was made on an installation as [Apart] is about, and
	// took a login of Arcade Cloud along.
	Apart bool
}

func (in Logout) apply(t *transition) {
	t.begin()
	switch {
	case t.linked():
		if in.Credential != "" && in.Credential != t.Credential {
			t.settleAsAnon(in.Credential)
		}
		// Still the old principal's event, whoever the file belonged to: the
		// next identity must not begin with somebody else's farewell.
		in.record(t)
		t.rotate()
	case t.unlinked():
		t.settleAsAnon(t.Credential)
		t.step(DropAlias, "", "")
		t.Credential = "" // anonymous already: the logout waits for nobody
		in.record(t)
		t.rotate()
	default:
		in.record(t)
	}
}

func (in Logout) record(t *transition) {
	if in.Apart {
		t.recordApart()
		return
	}
	t.record("", envKey{})
}

// Learned is Arcade Cloud's answer to a flusher: Credential is Principal's.
type Learned struct {
	Credential, Principal string
	// InFile says that the credentials file, as it is now, has this
	// fingerprint. Without it only the state's own credential can change the
	// state; the answer for a key from the environment never does.
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

// Released is a flusher that sends events whose principal it could not learn,
// because Arcade Cloud did not answer or did not accept the credentials: they
// go out as the anon id they were recorded under. A waiting alias waits on,
// and stitches them later.
type Released struct{ AnonID string }

func (in Released) apply(t *transition) { t.Spoke = t.Spoke || in.AnonID == t.AnonID }

// Adopted is a usage.json that another program has changed. On a machine that
// was never seen it is the file found there.
type Adopted struct {
	// AnonID and PrincipalID are what the file says.
	AnonID, PrincipalID string
	// Known is what was stored here for AnonID before, zero if nothing was.
	Known State
}

func (in Adopted) apply(t *transition) {
	if in.AnonID == t.AnonID && in.PrincipalID == t.PrincipalID {
		return
	}
	if t.AnonID != "" {
		// What waits was recorded under the old identity, and on credentials
		// nobody may present again.
		t.settleAsAnon("")
	}
	if t.unlinked() {
		t.step(DropAlias, "", "")
	}
	t.State = in.state(t.State)
}

// state is what the file says, with what must never be forgotten: that an anon
// id belongs to somebody. One that was ever linked counts as such even if no
// alias was needed, so that no two principals share an anon id.
//
// The file does not say whose credentials are here now: the Python CLI keeps a
// principal although somebody else has logged in. So a principal that comes
// from it is without credentials, and those that are present wait for Arcade
// Cloud's word, once.
func (in Adopted) state(before State) State {
	taken := in.Known.Aliased || in.Known.linked()
	if in.AnonID == before.AnonID {
		taken = taken || before.Aliased || before.linked()
	}
	next := State{AnonID: in.AnonID, PrincipalID: in.PrincipalID, Spoke: true, Aliased: taken}
	if next.linked() {
		next.Aliased = true
	}
	return next
}

// Moved is a database that was carried to another machine, in a copied home or
// an image: the machine it came from goes on with the same anon id, and each
// may meet another principal. So the anon id is left behind, for ever (see
// [Save]), and with it the alias that waits. What is undecided goes out as it
// was recorded, under the anon id, from here as from there: the copies are
// alike, and PostHog takes them for one.
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

// validAnonID says whether id is a UUID as Python's str(uuid) writes it. The
// other forms uuid.Validate knows (braces, urn:, no dashes) nobody writes.
func validAnonID(id string) bool {
	return len(id) == len(uuid.Nil.String()) && uuid.Validate(id) == nil
}

// validPrincipalID says whether id can be one person's distinct id: PostHog
// neither cuts it nor refuses to merge into it, and a terminal can show it.
func validPrincipalID(id string) bool {
	return id != "" && id == strings.TrimSpace(id) &&
		utf8.RuneCountInString(id) <= maxIDLength &&
		!strings.ContainsFunc(id, unprintable) && !refusedByPostHog(id)
}

// unprintable also catches what invalid UTF-8 is decoded to.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// refusedByPostHog says whether id is one of the placeholders that broken
// clients send and PostHog therefore refuses in merges. It refuses some in
// any case, some in this case only, and all of them in quotes too; no
// principal looks like any of that.
func refusedByPostHog(id string) bool {
	return slices.Contains([]string{
		"anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated",
		"email", "undefined", "true", "false", "[object object]", "nan", "none", "null", "0", "",
	}, strings.ToLower(strings.TrimSpace(strings.Trim(id, `"'`))))
}
