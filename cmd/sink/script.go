package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// script is which fault each delivery meets: those of once one after the other, and from then on then.
type script struct {
	once []outboxtest.Fault
	then outboxtest.Fault
}

// add takes "3x503", that fault three times, or a fault from then on, which nothing can follow.
func (s *script) add(word string) error {
	if s.then != "" {
		return fmt.Errorf("fault %q is never reached: %q goes on for ever, give it a count as in 3x%s", word, s.then, s.then)
	}
	times := 0
	count, name, counted := strings.Cut(word, "x")
	if n, err := strconv.Atoi(count); counted && err == nil {
		times = n
		if n < 1 || n > 100_000 {
			return fmt.Errorf("fault %q: the count must be from 1 to 100,000", word)
		}
	} else {
		name = word
	}
	fault := outboxtest.Fault(name)
	switch name {
	case "":
		return errors.New("there is no fault without a name")
	case "ok":
		fault = ""
	}
	if times == 0 {
		s.then = fault
	}
	s.once = append(s.once, slices.Repeat([]outboxtest.Fault{fault}, times)...)
	return fault.Check()
}
