// Package outboxtest is for tests of programs that embed an outbox. [New] makes the configuration of an outbox
// without a process and a network, and [Recorded] lists what a command has recorded:
//
//	box, err := outbox.New(outboxtest.New(t))
//	...
//	for _, m := range outboxtest.Recorded(t, box) { ... }
//
// [Server] stands in for PostHog's capture, also for a person at a laptop. It speaks both protocols, capture
// v1 and /batch/, decides about a request as PostHog does, remembers what it has kept and in which order, and
// fails, when told, in every way a network or a server fails. [Server.Violations] lists what PostHog would
// swallow silently and what does harm there: a uuid that comes again with other content, an anon id that is
// aliased twice or to two principals, an event of a principal that was kept before its alias, an alias that
// PostHog drops, a person profile that is on where it must be off or the other way round, an event that
// PostHog may give another time, requests that overlap. The rule about an event before its alias compares
// timestamps: give every installation a server of its own.
//
// The server speaks HTTP/1.1 only, because a reset is done to a connection, and gzip only. It belongs to one
// project. Its /batch/ is as strict about an event as capture v1: it makes up no uuid and no time.
package outboxtest
