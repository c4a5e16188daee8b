// Package posthog is the sink that sends an outbox's messages to PostHog, in its cloud or on a server of one's own.
//
// Messages go by capture v1, POST /i/v1/analytics/events, which answers with a result for each uuid: a message whose
// uuid is missing has not been accepted. A PostHog without capture v1 gets POST /batch/, which takes or refuses all
// at once; only a 200 with the status "Ok", "ok" or 1 and without quota_limited is its acceptance. One form of a
// message serves both: the same switches stand beside its properties, for the one, and among them, for the other.
//
// The library, posthog-go, gives its name and the system ($lib, $os ...) and says what a valid message is. Its client
// is not used: it uploads in the background, several requests at once, follows redirects, takes an unknown word for
// success and ignores an event without a result.
//
// An event of an anon id carries $process_person_profile: false, so that it makes no person. An alias
// never does: PostHog would drop it.
package posthog
