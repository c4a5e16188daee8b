package term

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

// Keyboard tells whether somebody can be asked: standard input is a terminal.
func (s *Screen) Keyboard() bool {
	return s.keyboard() != nil
}

func (s *Screen) keyboard() *os.File {
	file, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// AskHidden asks at the keyboard for one line that is not shown. The terminal shows what is typed
// again afterwards, even if ctx ends the waiting, and not while the process was stopped (Ctrl-Z) and goes
// on. Ctrl-D ends the line, too. A paste is read to its end, so that no line of it is left to the shell.
// The error can be ErrSeveralLines or ErrTooLongToType.
func (s *Screen) AskHidden(ctx context.Context, prompt string) (string, error) {
	keyboard := s.keyboard()
	ask := func() {
		s.Err.bracketPastes(bracketsOn)
		fmt.Fprint(s.Err, prompt)
	}
	ask()
	shown := keepHidden(int(keyboard.Fd()), ask)
	typed, err := readPaste(ctx, keyboard, true, shown)
	s.Err.bracketPastes(bracketsOff)
	fmt.Fprintln(s.Err) // the user's own line break was not shown either
	if err != nil {
		return "", err
	}
	return oneLine(typed)
}

// readPaste reads a line at the keyboard, and what was pasted behind it. It restores the terminal after it
// has called done: the last to go on may have been later than the answer.
func readPaste(ctx context.Context, keyboard *os.File, hidden bool, done func()) (typed string, err error) {
	fd := int(keyboard.Fd())
	before, err := term.GetState(fd)
	if err == nil {
		typed, err = Await(ctx, func() (string, error) { return readTyped(keyboard, hidden) })
	}
	done()
	if before != nil {
		err = errors.Join(err, term.Restore(fd, before))
	}
	return typed, err
}

// Confirm asks a yes-or-no question. Anything but a clear yes is a no, so a paste of several lines, of which
// none is left to the shell. The error is that of ctx.
func (s *Screen) Confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(s.Err, s.Err.Wrap(question+" [y/N]", 0)+" ")
	var answer string
	var err error
	if keyboard := s.keyboard(); keyboard != nil {
		answer, err = readPaste(ctx, keyboard, false, func() {})
	} else {
		answer, err = Await(ctx, func() (string, error) {
			answer, err := bufio.NewReader(s.In).ReadString('\n')
			if err == io.EOF {
				err = nil
			}
			return answer, err
		})
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (answer == "y" || answer == "yes"), ctx.Err()
}

// Await waits for a read that cannot be told to stop, until ctx ends. The read is left behind
// then; so is what it reads.
func Await[T any](ctx context.Context, read func() (T, error)) (value T, err error) {
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
