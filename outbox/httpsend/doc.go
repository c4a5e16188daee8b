// Package httpsend is what sinks that speak HTTP have in common: it makes bodies, sends each in one POST,
// and judges the answer. A sink is an [Encoder] and a [Client]:
//
//	address, wrong := httpsend.ParseAddress(url, "https://example.com/events")
//	encoder := httpsend.Encoder{Open: "[", Close: "]", Append: appendMessage}
//	client := httpsend.Client{URL: address.Public, Wrong: wrong, Transport: httpsend.Transport(nil), Success: isKept}
//
// Its methods hand over to theirs: Encode and Wire to the encoder, Send to the client; Endpoint returns
// address.Public, Check returns wrong. Package [github.com/ArcadeAI/arcade-cli/outbox/httpsink] is such a sink, in
// 100 lines. A sink that differs from it in the form of a body alone gives it an Encoder.
//
// A status alone proves nothing. Hotel networks answer 200 with a page of theirs, and a web server answers
// a request that it does not understand with 400 and a page. So a page never counts as the server's word,
// no redirect is followed, an answer is read to its end, and the sink says what an acknowledgement is.
package httpsend
