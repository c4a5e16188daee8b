package secrets

import (
	"slices"
	"strings"
)

// godotenv reads a file as a whole and gives up on all of it when one quote is open; it
// expands $NAME, takes a backslash before a closing quote for an escape even when the
// backslash is itself escaped, drops backslashes that escape nothing, starts a comment at
// the last # instead of the first, and strips every quote from both ends. So the entries
// are cut out here, and what it would read in its own way reaches it under a stand-in: a
// zero byte and a letter. No text with zero bytes comes this far.
const (
	hiddenBackslash = "\x00b"
	hiddenDouble    = "\x00d"
	hiddenSingle    = "\x00s"
	hiddenDollar    = "\x00v"
)

const blanks = " \t"

var (
	// literal is the inside of single quotes, where godotenv expands nothing.
	literal = strings.NewReplacer(`\`, hiddenBackslash, `'`, hiddenSingle)

	// escaped is the inside of double quotes. The line breaks are left for godotenv; the
	// other escapes are those that godotenv itself writes. Patterns are tried in order.
	escaped = strings.NewReplacer(
		`\n`, `\n`, `\r`, `\r`,
		`\\`, hiddenBackslash, `\"`, hiddenDouble, `\$`, hiddenDollar, `\!`, `!`, "\\`", "`",
		`\`, hiddenBackslash, `"`, hiddenDouble, `$`, hiddenDollar)

	// shown puts the characters back.
	shown = strings.NewReplacer(hiddenBackslash, `\`, hiddenDouble, `"`, hiddenSingle, `'`, hiddenDollar, `$`)
)

// prepare turns what follows the = of an entry into a value that godotenv reads as its
// author meant it, and says how many of the following lines belong to it.
func prepare(rest string, following []string) (entry string, more int) {
	body := strings.TrimLeft(rest, blanks)
	if body == "" || (body[0] != '"' && body[0] != '\'') {
		return unquoted(rest, 0), 0
	}
	quote, body := body[0], body[1:]
	if end := surroundingQuote(body, quote); end >= 0 {
		return quoted(body[:end], quote), 0
	}
	if end := nextQuote(body, quote); end >= 0 {
		return unquoted(string(quote)+body, end+2), 0
	}
	for i, line := range following {
		end := nextQuote(line, quote)
		if end < 0 {
			continue
		}
		if !endsEntry(line[end+1:]) {
			break
		}
		lines := slices.Concat([]string{body}, following[:i], []string{line[:end]})
		return quoted(strings.Join(lines, "\n"), quote), i + 1
	}
	// "C:\dir\" is a path to its author, not a quote left open.
	if end := strings.LastIndexByte(body, quote); end >= 0 && endsEntry(body[end+1:]) {
		return quoted(body[:end], quote), 0
	}
	return unquoted(string(quote)+body, 0), 0
}

func quoted(body string, quote byte) string {
	if quote == '"' {
		return `"` + escaped.Replace(body) + `"`
	}
	return `'` + literal.Replace(body) + `'`
}

// unquoted cuts the comment off, which cannot start before from, and hands the value over
// in single quotes, where godotenv changes nothing.
func unquoted(rest string, from int) string {
	for i := max(from, 1); i < len(rest); i++ {
		if rest[i] == '#' && strings.IndexByte(blanks, rest[i-1]) >= 0 {
			rest = rest[:i]
			break
		}
		i += quotedWord(rest, i)
	}
	return quoted(strings.Trim(rest, blanks), '\'')
}

// quotedWord is the number of bytes after rest[i] that are in the quotes it opens, so that
// no comment starts inside a value like {"a": "b # c"}. It is 0 for an apostrophe and
// anything else that does not open a word: the next quote must close one.
func quotedWord(rest string, i int) int {
	if (rest[i] != '"' && rest[i] != '\'') || !strings.ContainsRune(blanks+"=:,([{", rune(rest[i-1])) {
		return 0
	}
	end := nextQuote(rest[i+1:], rest[i])
	if end < 0 {
		return 0
	}
	after := rest[i+1+end+1:]
	if after != "" && !strings.ContainsRune(blanks+":,;)]}", rune(after[0])) {
		return 0
	}
	return end + 1
}

// surroundingQuote is where the first quote stands in line that can close a value: nothing
// but blanks and a comment follow it. -1 without one.
func surroundingQuote(line string, quote byte) int {
	for from := 0; ; {
		end := nextQuote(line[from:], quote)
		if end < 0 {
			return -1
		}
		if from += end; endsEntry(line[from+1:]) {
			return from
		}
		from++
	}
}

// nextQuote is where the next quote stands in line, -1 without one. Between double quotes
// a backslash takes the special meaning from the character after it.
func nextQuote(line string, quote byte) int {
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == quote:
			return i
		case line[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}

func endsEntry(rest string) bool {
	rest = strings.TrimLeft(rest, blanks)
	return rest == "" || rest[0] == '#'
}
