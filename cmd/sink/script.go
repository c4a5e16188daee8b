package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// script is a flag.Value: which fault each delivery meets, those of once one after the other, and from then
// on then. Each use of the flag adds to it: "3x503" three times, a fault without a count from then on.
type script struct {
	once []outboxtest.Fault
	then outboxtest.Fault
}

// String is for package flag.
func (s *script) String() string { return fmt.Sprint(s.once, s.then) }

// Set adds one fault. Nothing can follow one for good.
func (s *script) Set(word string) error {
	if s.then != "" {
		return fmt.Errorf("fault %q is never reached: %q goes on for ever, give it a count as in 3x%s", word, s.then, s.then)
	}
	count, name, counted := strings.Cut(word, "x")
	times, err := strconv.Atoi(count)
	if !counted || err != nil {
		s.then, err = parseFault(word)
		return err
	}
	f, err := parseFault(name)
	if err == nil && (times < 1 || times > 100_000) {
		err = fmt.Errorf("fault %q: the count must be from 1 to 100,000", word)
	}
	if err == nil {
		s.once = append(s.once, slices.Repeat([]outboxtest.Fault{f}, times)...)
	}
	return err
}

func parseFault(name string) (outboxtest.Fault, error) {
	switch f := outboxtest.Fault(name); name {
	case "ok":
		return "", nil
	case "":
		return "", errors.New("there is no fault without a name")
	default:
		return f, f.Check()
	}
}

const faultHelp = `  reset-in-body      reset the connection in the middle of the body
  reset-after-body   reset it after the body
  close              close it after the body, without an answer
  hang               never answer, until the client leaves
  short-body         200 with less body than Content-Length says
  portal             200 with the log-in page of a captive portal
  page-400           400 with a page, as a web server answers plain HTTP
  page-413           413 with a page, as a proxy answers a large body
  quota-limited      the quota is used up
  503                that status, and any other from 201 to 599. From 400 on
                     with :retry-after=TEXT if wanted
`
