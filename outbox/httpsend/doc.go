// Package httpsend is what sinks that speak HTTP have in common. A sink is an [Encoder], which makes bodies, and
// a [Client], which sends each in one POST and judges the answer:
//
//	address, wrong := httpsend.ParseAddress(text, "https://example.com/events")
//	encoder := httpsend.Encoder{Open: "[", Close: "]", Form: form}
//	client := httpsend.Client{URL: address.String(), Wrong: wrong, Transport: httpsend.Transport(nil)}
//
// With an embedded Encoder it has Encode and Wire; Check returns wrong, Send what the Client's Send says. Where only the
// form of the bodies differs, [github.com/ArcadeAI/arcade-cli/outbox/httpsink] with another Encoder is enough.
//
// A status alone proves nothing: hotel networks answer 200 with a page of theirs, and web servers answer 400 with a
// page to what they do not understand. So a page never counts as the server's word, and no redirect is followed.
package httpsend
