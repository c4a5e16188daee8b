// Package identity knows who an event belongs to: an anonymous id, or the
// Arcade principal behind the credentials of this machine.
//
// [Next] is a pure state machine and makes every decision. The rest of the
// package feeds it: the storage of its state, the usage.json file shared with
// the Python CLI, the credentials file, and Arcade Cloud's calls.
//
// Three promises shape the rules. An anon id is aliased to at most one principal, ever:
// a second alias can merge two people for good. No command asks the network, so a
// principal may become known long after the events that wait for it. And credentials
// alone do not alias an anon id that never spoke: CI jobs, each with a fresh home, would
// hang thousands of empty ids on one person.
package identity

import "cmp"

// State is the identity of this machine. The zero State is a machine that has
// never been seen; [Next] gives it an anon id.
//
// The state is linked when PrincipalID is known, unlinked when only Credential
// is, and anonymous when neither is.
type State struct {
	AnonID      string // a UUID
	PrincipalID string // to which the machine is linked, "" until then
	// Credential is the fingerprint of the credentials file: unlinked, of the one
	// whose principal is asked for; linked, of the one it was linked with ("" after a
	// link by another program without credentials).
	Credential string
	// Spoke says that an event was recorded or decided as AnonID, or that another
	// program, which may have used it, made AnonID.
	Spoke bool
	// Aliased says that AnonID belongs to a principal, by any program's alias: never alias
	// it again. A waiting alias does not count; one waits exactly while the state is
	// unlinked.
	Aliased bool
}

func (s State) linked() bool   { return s.PrincipalID != "" }
func (s State) unlinked() bool { return s.PrincipalID == "" && s.Credential != "" }

// Input can change the identity, or is recorded under it: one of [Command], [Apart],
// [Login], [Logout], [Learned], [Released], [Adopted], [Moved].
type Input interface{ apply(t *transition) }

// StepKind is what a [Step] does to the outbox.
type StepKind string

const (
	// AddEvent adds the command's own event. AnonID is always set. DistinctID is the event's
	// owner, "" while that is undecided: then the event waits on Credential.
	AddEvent StepKind = "add event"
	// AddAlias adds the alias of AnonID to the principal DistinctID, "" for one that
	// waits for its principal.
	AddAlias StepKind = "add alias"
	// DecideEvents gives the undecided events of AnonID ("" any) that wait on
	// Credential ("" any) to DistinctID ("" each to its own anon id).
	DecideEvents StepKind = "decide events"
	// DecideAlias gives the waiting alias of AnonID to DistinctID.
	DecideAlias StepKind = "decide alias"
	// DropAlias deletes the waiting alias of AnonID.
	DropAlias StepKind = "drop alias"
)

// Step is one change to the outbox. The steps of one [Next] are carried out in
// the order given, in the transaction that saves the new state.
type Step struct {
	Kind       StepKind
	AnonID     string
	DistinctID string
	Credential string
}

// Next returns the state that follows s after in, and the steps for the outbox. A
// command, login or logout adds exactly one event. NewID must return a new UUID each
// time.
//
// Of several inputs in a transaction, [Save] the state after each: an intermediate state
// holds facts about its anon id that must not be forgotten.
func Next(s State, in Input, newID func() string) (State, []Step) {
	t := &transition{State: s, newID: newID}
	in.apply(t)
	return t.State, t.steps
}

// transition is a state that an input changes, with the steps so far.
type transition struct {
	State
	steps []Step
	newID func() string
}

// step appends a step for the present anon id.
func (t *transition) step(kind StepKind, distinctID, credential string) {
	t.steps = append(t.steps, Step{Kind: kind, AnonID: t.AnonID, DistinctID: distinctID, Credential: credential})
}

// begin gives a machine that was never seen its first anon id.
func (t *transition) begin() {
	if t.AnonID == "" {
		t.rotate()
	}
}

// rotate leaves the identity behind for an anonymous one without a past.
func (t *transition) rotate() { t.State = State{AnonID: t.newID()} }

// see takes notice of the credentials file: its fingerprint ("" for none) and the
// principal remembered for it ("" when unknown).
func (t *transition) see(credential, principal string) {
	switch {
	case t.linked():
		// Without credentials a linked machine stays linked: only a logout ends that.
		// Other credentials of an unknown principal change nothing yet; their events
		// wait ("linked, waiting").
		if credential != "" && credential != t.Credential && principal != "" {
			t.relink(credential, principal)
		}
	case t.unlinked() && credential != t.Credential:
		t.abandon()
		t.see(credential, principal)
	case t.unlinked():
		if principal != "" {
			t.learn(principal)
		}
	case credential == "":
		// Anonymous, and stays so.
	case principal == "":
		t.await(credential)
	default:
		t.link(credential, principal, t.Spoke)
	}
}

// await makes an anonymous machine unlinked: the principal of its credentials is not
// known yet. The alias is added now, so that it is delivered before the events that wait
// with it.
func (t *transition) await(credential string) {
	if t.Aliased {
		t.rotate()
	}
	t.step(AddAlias, "", "")
	t.Credential = credential
}

// link makes an anonymous machine linked. An anon id that belongs to a principal
// already is replaced by a fresh one, which needs no alias.
func (t *transition) link(credential, principal string, alias bool) {
	switch {
	case t.Aliased:
		t.rotate()
	case alias:
		t.step(AddAlias, principal, "")
		t.Aliased = true
	}
	t.PrincipalID, t.Credential = principal, credential
}

// learn makes an unlinked machine linked: its credentials are principal's.
func (t *transition) learn(principal string) {
	if t.Spoke {
		t.step(DecideAlias, principal, "")
		t.Aliased = true
	} else {
		t.step(DropAlias, "", "")
	}
	t.decideWaiting(t.Credential, principal)
	t.PrincipalID = principal
}

// relink gives a linked machine credentials of principal. If that is another principal,
// the anon id, which is the former one's past, is left behind.
func (t *transition) relink(credential, principal string) {
	t.decideWaiting(credential, principal)
	if principal != t.PrincipalID {
		t.rotate()
		t.PrincipalID = principal
	}
	t.Credential = credential
}

// abandon makes an unlinked machine anonymous again, under a new anon id.
func (t *transition) abandon() {
	t.settleAsAnon(t.Credential)
	t.step(DropAlias, "", "")
	t.rotate()
}

// decideWaiting gives every event that waits on credential to its principal, under
// whatever anon id: a credential has one owner.
func (t *transition) decideWaiting(credential, principal string) {
	t.steps = append(t.steps, Step{Kind: DecideEvents, DistinctID: principal, Credential: credential})
}

// settleAsAnon gives the events that wait on credential ("" any) under the present
// anon id to that anon id.
func (t *transition) settleAsAnon(credential string) {
	t.step(DecideEvents, t.AnonID, credential)
}

// record adds the event of a command that saw a file with the fingerprint file, and an
// environment with the key of the fingerprint key, "" for none. The key's principal is
// keyPrincipal, "" when unknown.
func (t *transition) record(file, key, keyPrincipal string) {
	credential := cmp.Or(key, file)
	switch {
	case key != "" && keyPrincipal != "":
		t.step(AddEvent, keyPrincipal, "")
	case t.linked() && (credential == "" || credential == t.Credential):
		t.step(AddEvent, t.PrincipalID, "")
	case key != "" || t.linked():
		t.step(AddEvent, "", credential)
	case t.unlinked():
		t.step(AddEvent, "", t.Credential)
	default:
		t.recordAsAnon()
	}
}

// recordAsAnon adds the event of a command as the anon id's.
func (t *transition) recordAsAnon() {
	t.step(AddEvent, t.AnonID, "")
	t.Spoke = true
}
