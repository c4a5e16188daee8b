// Package posthog is the sink that sends an outbox's messages to PostHog, to its cloud or to a
// server of one's own.
//
// Messages go by capture v1, POST /i/v1/analytics/events, whose answer has a result for each of them by
// its uuid: whoever does not name a uuid has not accepted it. A PostHog without capture v1 is asked by
// POST /batch/, which takes or refuses all at once and means it by a 200 with the status "Ok", "ok" or 1
// and no quota_limited. One form of a message serves both: the same switches and names stand beside its
// properties, for the one, and among them, for the other.
//
// The library, posthog-go, says who we are ($lib, $os ...) and what is a valid message. Its client is not
// used: it uploads in the background, several requests at once, follows redirects, takes an unknown word
// for success and says nothing of an event without a result.
//
// An event of an anon id carries $process_person_profile: false, so that it makes no person. An alias
// never does: PostHog would drop it.
package posthog
