// Package outboxtest is a stand-in for PostHog's capture endpoint, POST /batch/, for tests and
// for a person at a laptop. It decides about a batch as the real endpoint does, remembers what
// it has kept in the order in which it was kept, can be told to fail in every way a network or
// a server fails, and reports in plain sentences what a sender must never do.
//
// # What it does as PostHog does
//
//   - A body is gunzipped when it starts with gzip's magic bytes, whatever its headers say.
//   - The first bad event refuses the whole batch with 400, and nothing is kept. A key that is
//     missing or malformed is 401. What is too big is 413, and then the events before the one
//     that was too big have been kept.
//   - The distinct id stands at the top of an event or in its properties, is turned into text
//     when it is none, and is cut at 200 characters.
//   - Repeats are folded by token, uuid, event name, distinct id and day.
//   - $create_alias merges the id in the property alias into distinct_id, unless one of them
//     is of the kind PostHog refuses (anonymous, null, 0, ...) or the alias has its person
//     profile switched off.
//
// # What it reports
//
// [Server.Violations] lists what PostHog would swallow silently and what does harm there: a
// uuid that comes again with other content, an anon id that is aliased twice or to two
// principals, an event of a principal that was kept before its alias, an alias that PostHog
// drops, a person profile that is on where it must be off or the other way round, requests
// that overlap, redirects that are followed, timestamps and uuids that cannot be used.
//
// The rule about an event before its alias compares timestamps, so it holds for one
// installation with a clock that goes forward. Give every installation a server of its own.
//
// # Where it differs
//
// It speaks HTTP/1.1 only, because a reset is done to a connection. It takes the /batch/ shape
// only, no single events and no base64. A timestamp must be RFC 3339.
package outboxtest
