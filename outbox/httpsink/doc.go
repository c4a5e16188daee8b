// Package httpsink is the sink for a server of one's own, to which it posts messages as a JSON array, and for
// every service that takes JSON in another form: see [Config].Encoder, and the examples for Segment and for
// an OpenTelemetry collector (example_segment_test.go and example_otlp_test.go).
//
// # The request
//
//	POST <URL>
//	Content-Type: application/json
//	Content-Encoding: gzip
//	...and the headers of the configuration, an Authorization for example
//
//	[
//	  {"uuid": "0198...", "kind": "capture", "event": "greeted", "distinct_id": "7d0c...",
//	   "timestamp": "2026-11-23T12:00:00.123Z", "properties": {"name_length": 5}},
//	  {"uuid": "0198...", "kind": "alias", "event": "$create_alias", "distinct_id": "ada",
//	   "alias": "7d0c...", "timestamp": "2026-11-23T12:00:01.456Z", "properties": {}}
//	]
//
// An alias says that all messages of the distinct id in alias belong to distinct_id. A request has 1
// to 2,000 messages in the order in which they were recorded, and at most 4 MiB before compression; a
// single message may have 500,000 bytes. Never more than one request is under way.
//
// # What the server has to do
//
// Keep a message once per uuid: whatever was not acknowledged comes again, as the same bytes.
// Answer only when all messages are kept:
//
//   - a status from 200 to 299 acknowledges them all. With [Config].AckField the answer must also be
//     a JSON object that has true or "ok" in that field, so that only the server's own success counts.
//     A web page never counts.
//   - 400, 413 or 422 refuses them all, and no answer in time is too much at once: the sender tries
//     again with fewer, and gives up a message that is refused alone. A web page refuses nothing.
//   - 401 or 403 means that the sender's credentials are not taken. Nothing is lost; the next run
//     asks again.
//   - anything else, or no answer, means later. A Retry-After in seconds or as a date is honoured, up to
//     an hour. Redirects are not followed.
package httpsink
