// Package httpsend is what the sinks that speak HTTP have in common: it makes bodies, sends each in
// one POST, and judges the answer.
//
// A status alone proves nothing. Hotel networks answer 200 with a page of theirs, and a web server
// that is asked in the wrong way answers 400 with one. So a page is never the server's word, whatever
// its status, no redirect is followed, an answer is read to its end, and what counts as an
// acknowledgement is the sink's to say.
package httpsend
