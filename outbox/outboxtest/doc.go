// Package outboxtest is for tests of programs that embed an outbox. [New] makes the configuration of an outbox
// without a process and a network, and [Recorded] lists what a command has recorded:
//
//	box, err := outbox.New(outboxtest.New(t))
//	...
//	for _, m := range outboxtest.Recorded(t, box) { ... }
//
// [Server] stands in for PostHog's capture, also for a person at a laptop. It speaks capture v1 and /batch/, decides
// about a request as PostHog does, remembers what it has kept, and fails, when told, in every way a network or a
// server fails. [Server.Violations] lists what PostHog would swallow silently and what does harm there: a uuid that
// comes again with other content, an anon id that is aliased twice, an event that was kept before the alias of its
// principal, an alias that PostHog drops, a wrong person profile, a time that PostHog may change, requests that
// overlap. Timestamps are compared: give every installation a server of its own.
//
// The server speaks HTTP/1.1 and gzip, and belongs to one project. Its /batch/ makes up no uuid and no time.
package outboxtest
