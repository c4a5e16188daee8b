package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// promptLimit is the length, in bytes, at which Linux silently cuts a line that is typed
// or pasted (its N_TTY buffer has 4096 with the line break).
const promptLimit = 4095

var errTooLongToType = fmt.Errorf("a terminal passes on less than %d bytes", promptLimit)

// keyboard is the terminal that standard input comes from, nil without one.
func (a *app) keyboard() *os.File {
	file, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// askHidden asks for one line that is not shown. The terminal shows what is typed again
// afterwards, even if a signal ends the waiting.
func (a *app) askHidden(ctx context.Context, keyboard *os.File, prompt string) (string, error) {
	fd := int(keyboard.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(a.err, prompt)
	line, err := await(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(a.err) // the user's own line break was not shown either
	switch {
	case ctx.Err() != nil:
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	case len(line) >= promptLimit:
		return "", errTooLongToType
	}
	return string(line), err
}

// await waits for a read that cannot be told to stop, until ctx ends. The read is left behind
// then; so is what it reads.
func await[T any](ctx context.Context, read func() (T, error)) (value T, err error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return value, ctx.Err()
	}
}

// confirm asks a yes-or-no question; anything but a clear yes is a no.
func (a *app) confirm(question string) bool {
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
