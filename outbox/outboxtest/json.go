package outboxtest

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
)

// The functions of this file walk over JSON that json.Valid has accepted, so they check
// nothing. They exist because decoding with encoding/json costs four times as much as all
// the rest of the fake, and a benchmark of the sender would then measure the fake.

// members yields the members of the JSON object raw, keys unquoted, values as they stand.
// Anything but an object has none.
func members(raw []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		at := skipSpace(raw, 0)
		if at == len(raw) || raw[at] != '{' {
			return
		}
		for at = skipSpace(raw, at+1); raw[at] != '}'; at = skipComma(raw, at) {
			end := skipValue(raw, at)
			key := raw[at+1 : end-1]
			if bytes.IndexByte(key, '\\') >= 0 {
				key = []byte(text(raw[at:end]))
			}
			at = skipSpace(raw, skipSpace(raw, end)+1) // over the colon
			end = skipValue(raw, at)
			if !yield(key, raw[at:end]) {
				return
			}
			at = end
		}
	}
}

// elements yields the elements of the JSON array raw as they stand. Anything but an array
// has none.
func elements(raw []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		at := skipSpace(raw, 0)
		if at == len(raw) || raw[at] != '[' {
			return
		}
		for at = skipSpace(raw, at+1); raw[at] != ']'; at = skipComma(raw, at) {
			end := skipValue(raw, at)
			if !yield(raw[at:end]) {
				return
			}
			at = end
		}
	}
}

// text is the JSON string raw, unquoted.
func text(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var unquoted string
	_ = json.Unmarshal(raw, &unquoted) // cannot fail: raw is a valid JSON string
	return unquoted
}

// skipValue returns the index behind the value that starts at raw[at].
func skipValue(raw []byte, at int) int {
	switch raw[at] {
	case '"':
		return skipString(raw, at)
	case '{', '[':
		return skipNested(raw, at)
	}
	for at < len(raw) && strings.IndexByte(",]} \t\r\n", raw[at]) < 0 {
		at++
	}
	return at
}

// skipString returns the index behind the string whose opening quote is raw[at].
func skipString(raw []byte, at int) int {
	for {
		at += 1 + bytes.IndexByte(raw[at+1:], '"')
		escapes := 0
		for raw[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at + 1
		}
	}
}

// skipNested returns the index behind the object or array whose bracket is raw[at].
func skipNested(raw []byte, at int) int {
	for depth := 0; ; {
		switch raw[at] {
		case '"':
			at = skipString(raw, at)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if at++; depth == 0 {
			return at
		}
	}
}

// skipSpace returns the index of the first byte at or after at that is no white space.
func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == '\r') {
		at++
	}
	return at
}

// skipComma returns the index of the next element or of the closing bracket.
func skipComma(raw []byte, at int) int {
	if at = skipSpace(raw, at); raw[at] == ',' {
		at = skipSpace(raw, at+1)
	}
	return at
}
