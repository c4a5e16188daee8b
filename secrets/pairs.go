package secrets

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a value and a .env file, in bytes: far more than any secret has, far less than a file named by
// mistake may have.
const maxText = 1 << 20

// byteOrderMark begins a UTF-8 file that a Windows program wrote.
const byteOrderMark = "\uFEFF"

// Input is one argument of `secret set`.
type Input struct {
	Pair
	asked bool // the value has to be asked for
	lone  bool // without =
}

// The problems of an argument.
var (
	NoValue        = &Problem{"there is no = in it", "Write KEY=VALUE, or give one KEY and nothing else to be asked for its value."}
	NoTerminal     = &Problem{"there is no terminal to ask for the value on", "Write KEY=- to read it from standard input."}
	EmptyKey       = &Problem{"there is no key before the =", "Write KEY=VALUE."}
	BlankInKey     = &Problem{"a key must not contain blanks or control characters", "Type it again."}
	InvisibleInKey = &Problem{"a key must not contain invisible characters, such as a byte order mark or a zero-width space", "Type it again."}
	EmptyValue     = &Problem{"the value is empty", "'arcade secret unset' removes a secret."}
	NotText        = &Problem{"it is not valid UTF-8", "Save it as UTF-8."}
	ZeroByte       = &Problem{"there is a zero byte in it, as in UTF-16", "Save it as UTF-8."}
	ValueTooLarge  = &Problem{"the value is larger than 1 MB", "Give a shorter one."}
	DuplicateKey   = &Problem{"an earlier argument sets the same key", "Give each key once."}
	SecondStdinKey = &Problem{"only one value can come from standard input", "Set the others in a command each."}
)

// wrong names only a key before an =: a lone word may be a value that a blank has cut off its key.
func (in Input) wrong(position int, problem *Problem) error {
	named := ""
	if !in.lone && in.Key != "" {
		named = " ('" + Printable(in.Key) + "')"
	}
	return fmt.Errorf("argument %d%s: %w", position, named, problem)
}

// ParsePairs reads the arguments of `secret set`. The first = ends the key, which is trimmed; the value is kept as it
// is. KEY=- stands for a value on standard input, once per command, which stays out of the shell's history. A KEY
// without = asks for its value, but only as the sole argument and on a terminal: beside others it is most likely a
// piece of a value that was not quoted. The error wraps the [*Problem] of the first wrong argument.
func ParsePairs(args []string, terminal bool) ([]Input, error) {
	inputs := make([]Input, 0, len(args))
	seen, stdin := make(map[string]bool), 0
	for i, arg := range args {
		key, value, found := strings.Cut(arg, "=")
		in := Input{Pair: Pair{strings.TrimSpace(key), value}, asked: !found || value == "-", lone: !found}
		if in.asked {
			in.Value = ""
			stdin++
		}
		problem := keyProblem(in.Key)
		switch {
		case in.lone && (problem != nil || len(args) > 1):
			problem = NoValue
		case problem != nil:
		case in.lone && !terminal:
			problem = NoTerminal
		case !in.asked && valueProblem(value) != nil:
			problem = valueProblem(value)
		case seen[in.Key]:
			problem = DuplicateKey
		case in.asked && stdin > 1:
			problem = SecondStdinKey
		}
		if problem != nil {
			return nil, in.wrong(i+1, problem)
		}
		seen[in.Key] = true
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// Resolve asks for the values that the arguments lack. The error wraps the [*Problem] of a value, or ask's error.
func Resolve(inputs []Input, ask func(key string) (string, error)) (Plan, error) {
	plan := make(Plan, len(inputs))
	for i, in := range inputs {
		var err error
		if in.asked {
			in.Value, err = ask(in.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("the value of '%s' cannot be read: %w", Printable(in.Key), err)
		}
		if problem := valueProblem(in.Value); problem != nil {
			return nil, in.wrong(i+1, problem)
		}
		plan[i].Pair = in.Pair
	}
	return plan, nil
}

// ReadValue reads a value to its end. It removes what editors and shells add: a byte order mark and a final line break.
func ReadValue(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxText+2+int64(len(byteOrderMark))))
	value, broken := strings.CutSuffix(strings.TrimPrefix(string(data), byteOrderMark), "\n")
	if broken {
		value = strings.TrimSuffix(value, "\r")
	}
	return value, err
}

func keyProblem(key string) *Problem {
	switch {
	case key == "":
		return EmptyKey
	case !utf8.ValidString(key):
		return NotText
	case strings.ContainsFunc(key, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return BlankInKey
	case strings.ContainsFunc(key, isInvisible):
		return InvisibleInKey
	}
	return nil
}

// isInvisible reports whether a reader of a key would miss r.
func isInvisible(r rune) bool {
	const blankSymbols = "\u2800\U0001d159" // a Braille cell without dots, and a note without a head
	return !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		strings.ContainsRune(blankSymbols, r)
}

// valueProblem refuses an empty value, and one that JSON cannot carry unchanged.
func valueProblem(value string) *Problem {
	switch {
	case strings.TrimSpace(value) == "":
		return EmptyValue
	case len(value) > maxText:
		return ValueTooLarge
	case !utf8.ValidString(value):
		return NotText
	case strings.IndexByte(value, 0) >= 0:
		return ZeroByte
	}
	return nil
}
