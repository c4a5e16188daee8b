// Package posthog is the sink that sends an outbox's messages to PostHog, to its cloud or to a
// server of one's own.
//
// Messages go to POST /batch/ as posthog-go would send them: the library makes the wire form of each
// message and adds its own properties ($lib, $lib_version, $os, $os_version, $go_version ...). Its
// client is not used. A client uploads in the background, takes any 2xx for success whoever sent it,
// follows redirects and retries by itself, and an outbox can have none of that.
//
// # The acknowledgement
//
// A batch is accepted by an answer of 200 with a JSON object whose status is "Ok", "ok" or 1 and that
// has no quota_limited. 400 and 413 refuse it, 401 and 403 refuse the key. Everything else, and every
// answer that is a web page, means later.
//
// # The profile switch
//
// An event of an anon id carries $process_person_profile: false, so that it makes no person. An alias
// never does: PostHog would drop it.
package posthog
