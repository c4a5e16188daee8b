package identity

import (
	"fmt"
	"slices"
	"testing"
)

// The names of the cases: a is the anon id at the start, n1 and n2 the fresh
// ones in the order in which they were asked for.
const (
	a, n1  = "anon-a", "anon-new-1"
	p, q   = "principal-p", "principal-q"
	f1, f2 = "credential-f1", "credential-f2"
	k      = "credential-k"
)

// The states most cases start from.
var (
	mute      = State{AnonID: a}
	anonymous = State{AnonID: a, Spoke: true}
	taken     = State{AnonID: a, Spoke: true, Aliased: true}
	unlinked  = State{AnonID: a, Credential: f1}
	unlinkedS = State{AnonID: a, Credential: f1, Spoke: true}
	linked    = State{AnonID: a, PrincipalID: p, Credential: f1, Spoke: true, Aliased: true}
	linkedNoF = State{AnonID: a, PrincipalID: p, Spoke: true, Aliased: true}
)

type machineCase struct {
	name  string
	from  State
	in    Input
	to    State
	steps []Step
}

// Steps, written short.
func event(anon, distinct string) Step { return Step{AddEvent, anon, distinct, ""} }
func waiting(anon, on string) Step     { return Step{AddEvent, anon, "", on} }
func alias(anon, distinct string) Step { return Step{AddAlias, anon, distinct, ""} }
func decide(anon, on, distinct string) Step {
	return Step{DecideEvents, anon, distinct, on}
}
func decideAlias(anon, distinct string) Step { return Step{DecideAlias, anon, distinct, ""} }
func drop(anon string) Step                  { return Step{DropAlias, anon, "", ""} }

func runCases(t *testing.T, cases []machineCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fresh := 0
			got, steps := Next(c.from, c.in, func() string { fresh++; return fmt.Sprintf("anon-new-%d", fresh) })
			if got != c.to {
				t.Errorf("state\n got %+v\nwant %+v", got, c.to)
			}
			if !slices.Equal(steps, c.steps) {
				t.Errorf("steps\n got %v\nwant %v", steps, c.steps)
			}
		})
	}
}

func TestACommand(t *testing.T) {
	runCases(t, []machineCase{
		{"on a machine never seen gets an anon id and speaks as it",
			State{}, Command{}, State{AnonID: n1, Spoke: true}, []Step{event(n1, n1)}},
		{"without credentials is the anon id's, which has spoken from then on",
			mute, Command{}, anonymous, []Step{event(a, a)}},
		{"with credentials of an unknown principal makes an anonymous machine unlinked: the alias comes first, both wait",
			anonymous, Command{Credential: f1}, unlinkedS, []Step{alias(a, ""), waiting(a, f1)}},
		{"adds the waiting alias for a mute anon id too, because the events that follow may go out as it before Cloud answers",
			mute, Command{Credential: f1}, unlinked, []Step{alias(a, ""), waiting(a, f1)}},
		{"with remembered credentials links at once and stitches what the anon id said",
			anonymous, Command{Credential: f1, Principal: p}, linked, []Step{alias(a, p), event(a, p)}},
		{"with remembered credentials makes no alias for an anon id that never spoke, as in every fresh CI job",
			mute, Command{Credential: f1, Principal: p}, State{AnonID: a, PrincipalID: p, Credential: f1}, []Step{event(a, p)}},
		{"with credentials leaves an anon id behind that belongs to a principal already, known principal",
			taken, Command{Credential: f1, Principal: q}, State{AnonID: n1, PrincipalID: q, Credential: f1}, []Step{event(n1, q)}},
		{"with credentials leaves an anon id behind that belongs to a principal already, unknown principal",
			taken, Command{Credential: f1}, State{AnonID: n1, Credential: f1}, []Step{alias(n1, ""), waiting(n1, f1)}},

		{"waits when unlinked",
			unlinked, Command{Credential: f1}, unlinked, []Step{waiting(a, f1)}},
		{"links an unlinked machine whose principal was remembered meanwhile",
			unlinkedS, Command{Credential: f1, Principal: p}, linked,
			[]Step{decideAlias(a, p), decide("", f1, p), event(a, p)}},
		{"without credentials, unlinked: what waited is the old anon id's, the event the new one's",
			unlinkedS, Command{}, State{AnonID: n1, Spoke: true},
			[]Step{decide(a, f1, a), drop(a), event(n1, n1)}},
		{"with other credentials, unlinked: as if the first were gone and the others then came",
			unlinkedS, Command{Credential: f2}, State{AnonID: n1, Credential: f2},
			[]Step{decide(a, f1, a), drop(a), alias(n1, ""), waiting(n1, f2)}},
		{"with other, remembered credentials, unlinked: the new anon id has no past, so no alias",
			unlinkedS, Command{Credential: f2, Principal: q}, State{AnonID: n1, PrincipalID: q, Credential: f2},
			[]Step{decide(a, f1, a), drop(a), event(n1, q)}},

		{"is the principal's when linked, without a question",
			linked, Command{Credential: f1}, linked, []Step{event(a, p)}},
		{"is the principal's when linked without credentials: only a logout says that the user has gone",
			linked, Command{}, linked, []Step{event(a, p)}},
		{"with other credentials waits (linked, waiting): they may be another user's",
			linked, Command{Credential: f2}, linked, []Step{waiting(a, f2)}},
		{"with credentials waits when the machine was linked by another program: after a login of Bob's the commands must not stay Ada's",
			linkedNoF, Command{Credential: f1}, linkedNoF, []Step{waiting(a, f1)}},
		{"with remembered credentials of another principal than the one of another program's link is that one's",
			linkedNoF, Command{Credential: f1, Principal: q}, State{AnonID: n1, PrincipalID: q, Credential: f1},
			[]Step{decide("", f1, q), event(n1, q)}},
		{"with other remembered credentials of the same principal stays linked, with those",
			linked, Command{Credential: f2, Principal: p}, withCredential(linked, f2),
			[]Step{decide("", f2, p), event(a, p)}},
		{"with other remembered credentials of another principal is that one's, under an anon id without a past",
			linked, Command{Credential: f2, Principal: q}, State{AnonID: n1, PrincipalID: q, Credential: f2},
			[]Step{decide("", f2, q), event(n1, q)}},
		{"with the old credentials again is the principal's, whatever waits on others",
			linked, Command{Credential: f1, Principal: p}, linked, []Step{event(a, p)}},
	})
}

func TestAKeyFromTheEnvironment(t *testing.T) {
	runCases(t, []machineCase{
		{"owns its command when its principal is remembered, and the anon id has not spoken",
			mute, Command{Key: k, KeyPrincipal: q}, mute, []Step{event(a, q)}},
		{"lets the command wait on itself when its principal is unknown, without an alias",
			mute, Command{Key: k}, mute, []Step{waiting(a, k)}},
		{"owns its command on a linked machine, which stays whose it was",
			linked, Command{Credential: f1, Key: k, KeyPrincipal: q}, linked, []Step{event(a, q)}},
		{"lets the command wait on a linked machine, which stays whose it was",
			linked, Command{Credential: f1, Key: k}, linked, []Step{waiting(a, k)}},
		{"does not hide the file: unknown credentials make the machine unlinked in the same command",
			anonymous, Command{Credential: f1, Key: k}, unlinkedS, []Step{alias(a, ""), waiting(a, k)}},
		{"does not hide the file: remembered credentials link the machine in the same command",
			anonymous, Command{Credential: f1, Principal: p, Key: k, KeyPrincipal: q}, linked,
			[]Step{alias(a, p), event(a, q)}},
		{"does not hide that the file has gone",
			unlinkedS, Command{Key: k}, State{AnonID: n1}, []Step{decide(a, f1, a), drop(a), waiting(n1, k)}},
		{"that is the one the machine is linked with needs no answer",
			linked, Command{Key: f1}, linked, []Step{event(a, p)}},
		{"that is also the file's waits with the rest",
			unlinked, Command{Credential: f1, Key: f1}, unlinked, []Step{waiting(a, f1)}},
		{"learned: its events become its principal's, under whatever anon id they were recorded, the machine stays as it is",
			anonymous, Learned{Credential: k, Principal: q}, anonymous, []Step{decide("", k, q)}},
		{"learned on an unlinked machine does not link it",
			unlinkedS, Learned{Credential: k, Principal: q}, unlinkedS, []Step{decide("", k, q)}},
		{"learned on a linked machine does not relink it",
			linked, Learned{Credential: k, Principal: q}, linked, []Step{decide("", k, q)}},
	})
}

func TestALogin(t *testing.T) {
	runCases(t, []machineCase{
		{"links an anonymous machine, the alias before the event",
			anonymous, Login{f1, p}, linked, []Step{alias(a, p), event(a, p)}},
		{"makes the alias even for an anon id that never spoke: the user has said who they are",
			mute, Login{f1, p}, State{AnonID: a, PrincipalID: p, Credential: f1, Aliased: true},
			[]Step{alias(a, p), event(a, p)}},
		{"on a machine never seen gets an anon id, and its alias",
			State{}, Login{f1, p}, State{AnonID: n1, PrincipalID: p, Credential: f1, Aliased: true},
			[]Step{alias(n1, p), event(n1, p)}},
		{"with Cloud slow is as credentials present",
			anonymous, Login{f1, ""}, unlinkedS, []Step{alias(a, ""), waiting(a, f1)}},

		{"decides the alias that waits, instead of adding a second, and the events that wait with it",
			unlinked, Login{f1, p}, State{AnonID: a, PrincipalID: p, Credential: f1, Aliased: true},
			[]Step{decideAlias(a, p), decide("", f1, p), event(a, p)}},
		{"with other credentials than those waited on: their events are the anon id's",
			unlinked, Login{f2, q}, State{AnonID: a, PrincipalID: q, Credential: f2, Spoke: true, Aliased: true},
			[]Step{decide(a, f1, a), decideAlias(a, q), decide("", f2, q), event(a, q)}},
		{"with the same credentials and Cloud slow goes on waiting",
			unlinked, Login{f1, ""}, unlinked, []Step{waiting(a, f1)}},
		{"with other credentials and Cloud slow: the alias that waits now waits for them",
			unlinked, Login{f2, ""}, State{AnonID: a, Credential: f2, Spoke: true},
			[]Step{decide(a, f1, a), waiting(a, f2)}},

		{"as the same principal stays linked, with the new credentials",
			linked, Login{f2, p}, withCredential(linked, f2), []Step{decide("", f2, p), event(a, p)}},
		{"as another principal links to it under an anon id without a past",
			linked, Login{f2, q}, State{AnonID: n1, PrincipalID: q, Credential: f2},
			[]Step{decide("", f2, q), event(n1, q)}},
		{"as another principal counts even when the credentials look the same",
			linked, Login{f1, q}, State{AnonID: n1, PrincipalID: q, Credential: f1},
			[]Step{decide("", f1, q), event(n1, q)}},
		{"with other credentials and Cloud slow waits (linked, waiting)",
			linked, Login{f2, ""}, linked, []Step{waiting(a, f2)}},
		{"with the same credentials and Cloud slow is the principal's",
			linked, Login{f1, ""}, linked, []Step{event(a, p)}},
	})
}

// Whatever the state is, an installation that keeps to itself changes and links nothing.
func TestACommandOrALoginUnderASelfHostedContext(t *testing.T) {
	runCases(t, []machineCase{
		{"begins a machine that was never seen", State{}, Apart{}, State{AnonID: n1, Spoke: true}, []Step{event(n1, n1)}},
		{"is the anon id's though that belongs to a principal by now", taken, Apart{}, taken, []Step{event(a, a)}},
		{"does not wait on an unlinked machine, whose alias waits on", unlinked, Apart{}, unlinkedS, []Step{event(a, a)}},
		{"is not the principal's on a linked machine, which stays linked", linked, Apart{}, linked, []Step{event(a, a)}},
		{"is not the principal's whom another program has linked", linkedNoF, Apart{}, linkedNoF, []Step{event(a, a)}},
	})
}

func TestALogout(t *testing.T) {
	runCases(t, []machineCase{
		{"is the old principal's event, the next identity is anonymous and new",
			linked, Logout{Credential: f1}, State{AnonID: n1}, []Step{event(a, p)}},
		{"rotates a linked machine even when the credentials had gone before",
			linked, Logout{}, State{AnonID: n1}, []Step{event(a, p)}},
		{"is that of a principal whom another program has linked", linkedNoF, Logout{}, State{AnonID: n1}, []Step{event(a, p)}},
		{"of an installation that keeps to itself is the anon id's, and the home is left all the same",
			linked, Logout{Credential: f1, Apart: true}, State{AnonID: n1}, []Step{event(a, a)}},
		{"of an installation that keeps to itself, with an alias that waits",
			unlinked, Logout{Apart: true}, State{AnonID: n1}, []Step{decide(a, f1, a), drop(a), event(a, a)}},
		{"while other credentials wait: their events are the anon id's, the logout is the old principal's",
			linked, Logout{Credential: f2}, State{AnonID: n1}, []Step{decide(a, f2, a), event(a, p)}},
		{"while unlinked is the old anon id's, like all that waited; the alias is dropped",
			unlinked, Logout{Credential: f1}, State{AnonID: n1}, []Step{decide(a, f1, a), drop(a), event(a, a)}},
		{"while anonymous changes nothing, even if it removed credentials that no command had met",
			mute, Logout{Credential: f1}, anonymous, []Step{event(a, a)}},
	})
}

func TestWhatTheFlusherLearns(t *testing.T) {
	runCases(t, []machineCase{
		{"links an unlinked machine: the alias and all that waits get the principal",
			unlinkedS, Learned{f1, p, true}, linked, []Step{decideAlias(a, p), decide("", f1, p)}},
		{"drops the alias of an anon id that never spoke",
			unlinked, Learned{f1, p, true}, State{AnonID: a, PrincipalID: p, Credential: f1},
			[]Step{drop(a), decide("", f1, p)}},
		{"links an unlinked machine even if the file has changed since: the answer is about its own credentials",
			unlinkedS, Learned{f1, p, false}, linked, []Step{decideAlias(a, p), decide("", f1, p)}},
		{"about credentials no command has met yet leaves an unlinked machine to the next command",
			unlinkedS, Learned{f2, q, true}, unlinkedS, []Step{decide("", f2, q)}},
		{"about credentials no command has met yet leaves an anonymous machine to the next command",
			anonymous, Learned{f1, p, true}, anonymous, []Step{decide("", f1, p)}},
		{"linked, waiting, same principal: linked, with the new credentials",
			linked, Learned{f2, p, true}, withCredential(linked, f2), []Step{decide("", f2, p)}},
		{"linked, waiting, another principal: linked to it, new anon id, no alias",
			linked, Learned{f2, q, true}, State{AnonID: n1, PrincipalID: q, Credential: f2}, []Step{decide("", f2, q)}},
		{"linked, about its own credentials changes nothing",
			linked, Learned{f1, p, true}, linked, []Step{decide("", f1, p)}},
		{"linked by another program, same principal: confirmed, Cloud is not asked again",
			linkedNoF, Learned{f1, p, true}, linked, []Step{decide("", f1, p)}},

		{"nothing, and events go out as the anon id: it has spoken, and the alias waits on",
			unlinked, Released{a}, unlinkedS, nil},
		{"nothing, and events go out as an anon id that was left behind: this one has not spoken",
			mute, Released{n1}, mute, nil},
	})
}

func TestAnotherProgramsFile(t *testing.T) {
	const b = "anon-b"
	adopted := State{AnonID: b, Spoke: true}
	runCases(t, []machineCase{
		{"gives a machine never seen its identity, so a user of the Python CLI does not become a new person",
			State{}, Adopted{AnonID: b}, adopted, nil},
		{"gives a machine never seen its principal, whose alias the other program has made",
			State{}, Adopted{AnonID: b, PrincipalID: p},
			State{AnonID: b, PrincipalID: p, Spoke: true, Aliased: true}, nil},
		{"replaces an anonymous identity: what waits is the old anon id's",
			anonymous, Adopted{AnonID: b}, adopted, []Step{decide(a, "", a)}},
		{"replaces an unlinked identity: the waiting alias is dropped, no other is made",
			unlinked, Adopted{AnonID: b, PrincipalID: p},
			State{AnonID: b, PrincipalID: p, Spoke: true, Aliased: true},
			[]Step{decide(a, "", a), drop(a)}},
		{"does not let an anonymous identity inherit the credentials: the next command meets them",
			linked, Adopted{AnonID: b}, adopted, []Step{decide(a, "", a)}},
		{"that links the present anon id has made its alias too",
			unlinkedS, Adopted{AnonID: a, PrincipalID: p}, linkedNoF, []Step{decide(a, "", a), drop(a)}},
		{"does not say whose the present credentials are, which may be another person's",
			anonymous, Adopted{AnonID: a, PrincipalID: p}, linkedNoF, []Step{decide(a, "", a)}},
		{"that unlinks the present anon id does not free it for another person",
			State{AnonID: a, PrincipalID: p, Credential: f1}, Adopted{AnonID: a}, taken, []Step{decide(a, "", a)}},
		{"that brings an anon id back remembers that it was aliased here",
			anonymous, Adopted{AnonID: b, Known: State{AnonID: b, Aliased: true}},
			State{AnonID: b, Spoke: true, Aliased: true}, []Step{decide(a, "", a)}},
		{"that brings an anon id back remembers that it was linked here, though no alias was needed",
			anonymous, Adopted{AnonID: b, Known: State{AnonID: b, PrincipalID: q}},
			State{AnonID: b, Spoke: true, Aliased: true}, []Step{decide(a, "", a)}},
		{"that brings an anon id back which only waited here leaves it free",
			anonymous, Adopted{AnonID: b, Known: State{AnonID: b, Credential: f1}}, adopted, []Step{decide(a, "", a)}},
		{"that says what is so already is no change", unlinked, Adopted{AnonID: a}, unlinked, nil},
		{"that says who is linked already is no change", linked, Adopted{AnonID: a, PrincipalID: p}, linked, nil},
	})
}

func TestAnotherMachine(t *testing.T) {
	all := decide("", "", "")
	runCases(t, []machineCase{
		{"that was never seen has nothing to leave behind", State{}, Moved{}, State{}, nil},
		{"gets an anon id of its own even if the old one never spoke, since it may speak there", mute, Moved{}, State{AnonID: n1}, []Step{all}},
		{"does not alias the anon id that the other may alias: the alias that waits is dropped",
			unlinkedS, Moved{}, State{AnonID: n1}, []Step{all, drop(a)}},
		{"is anonymous until its own credentials are met", linked, Moved{}, State{AnonID: n1}, []Step{all}},
	})
}

func withCredential(s State, credential string) State {
	s.Credential = credential
	return s
}
