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

// Keyboard reports whether standard input is a terminal, on which a user can answer.
func (s *Screen) Keyboard() bool { return s.keyboard() != nil }

func (s *Screen) keyboard() *os.File {
	file, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// AskHidden asks at the keyboard for one line and does not show it. Ctrl-D ends the line, too. A paste is read to
// its end, so that the shell gets no line of it. The error can be ErrSeveralLines or ErrTooLongToType.
func (s *Screen) AskHidden(ctx context.Context, prompt string) (string, error) {
	typed, err := s.ask(ctx, s.keyboard(), prompt, true)
	s.Err.bracketPastes(bracketsOff)
	fmt.Fprintln(s.Err) // the user's own line break was not shown either
	if err != nil {
		return "", err
	}
	return oneLine(typed)
}

// Confirm asks a yes-or-no question. Anything but a clear yes is a no, also a paste of several lines, of which
// the shell gets none. The error is that of ctx.
func (s *Screen) Confirm(ctx context.Context, question string) (bool, error) {
	question = s.Err.Wrap(question+" [y/N]", 0) + " "
	var answer string
	var err error
	if keyboard := s.keyboard(); keyboard != nil {
		answer, err = s.ask(ctx, keyboard, question, false)
	} else {
		fmt.Fprint(s.Err, question)
		answer, err = Await(ctx, func() (string, error) {
			answer, err := bufio.NewReader(s.In).ReadString('\n')
			if err == io.EOF {
				err = nil
			}
			return answer, err
		})
	}
	if ctx.Err() != nil {
		fmt.Fprintln(s.Err) // what follows begins a line
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (answer == "y" || answer == "yes"), ctx.Err()
}

// ask reads a line at the keyboard, and whatever was pasted behind it, then restores the terminal, also when ctx
// ends. After Ctrl-Z and fg it asks again, at the beginning of a line: the terminal has dropped what was typed.
func (s *Screen) ask(ctx context.Context, keyboard *os.File, prompt string, hidden bool) (typed string, err error) {
	show := func(prompt string) {
		if hidden {
			s.Err.bracketPastes(bracketsOn)
		}
		fmt.Fprint(s.Err, prompt)
	}
	fd := int(keyboard.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	stop := onContinue(fd, hidden, func() { show("\r" + prompt) })
	show(prompt)
	typed, err = Await(ctx, func() (string, error) { return readTyped(keyboard, hidden) })
	stop() // before the terminal is restored: the process may have gone on after the answer
	return typed, errors.Join(err, term.Restore(fd, before))
}

// Await waits until ctx ends for a read that cannot be stopped. After that the read goes on, and what it reads is
// lost.
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
