package outboxtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxTimes bounds how often a script repeats one fault, so that a typing error does not
// become a script of gigabytes.
const maxTimes = 100_000

// Script says which fault each request meets: those of Once one after the other, one request
// each, and from then on Then. The zero Script is a healthy server.
//
// *Script is a flag.Value. Each use of the flag adds to the script: "3x503" three times, a
// fault without a count from then on.
type Script struct {
	Once []Fault
	Then Fault
}

// String writes the script as [Script.Set] reads it, one word for each call of it.
func (s *Script) String() string {
	var words []string
	for rest := s.Once; len(rest) > 0; {
		times := slices.IndexFunc(rest, func(f Fault) bool { return f != rest[0] })
		if times < 0 {
			times = len(rest)
		}
		words = append(words, fmt.Sprintf("%dx%s", times, rest[0]))
		rest = rest[times:]
	}
	if s.Then != (Fault{}) || len(words) == 0 {
		words = append(words, s.Then.String())
	}
	return strings.Join(words, " ")
}

// Set adds one fault, "503" for good or "3x503" for three requests. Nothing can follow one
// for good.
func (s *Script) Set(word string) error {
	if s.Then != (Fault{}) {
		return fmt.Errorf("fault %q is never reached: %q goes on for ever, give it a count as in 3x%s",
			word, s.Then, s.Then)
	}
	count, name, counted := strings.Cut(word, "x")
	times, err := strconv.Atoi(count)
	if !counted || err != nil {
		s.Then, err = ParseFault(word)
		return err
	}
	if times < 1 || times > maxTimes {
		return fmt.Errorf("fault %q: the count must be from 1 to %d", word, maxTimes)
	}
	f, err := ParseFault(name)
	if err != nil {
		return err
	}
	s.Once = append(s.Once, slices.Repeat([]Fault{f}, times)...)
	return nil
}

// next takes the fault of one request off the script.
func (s *Script) next() Fault {
	if len(s.Once) == 0 {
		return s.Then
	}
	f := s.Once[0]
	s.Once = s.Once[1:]
	return f
}

// check finds the first fault of the script that does not exist.
func (s *Script) check() error {
	for _, f := range append(slices.Clone(s.Once), s.Then) {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}
