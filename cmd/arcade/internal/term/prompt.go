package term

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

var (
	// ErrTooLongToType means that the terminal may have cut the line.
	ErrTooLongToType = fmt.Errorf("a terminal passes on less than %d bytes", promptLimit)
	// ErrSeveralLines means that more than one line was pasted.
	ErrSeveralLines = errors.New("several lines were pasted or typed, and one is asked for")
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

// AskHidden asks for one line at the keyboard and does not show it. Ctrl-D ends the line, too. A paste is read to
// its end, so that no line of it reaches the shell. The error can be ErrSeveralLines or ErrTooLongToType.
func (s *Screen) AskHidden(ctx context.Context, prompt string) (string, error) {
	typed, err := s.ask(ctx, prompt, true)
	fmt.Fprintln(s.Err) // the user's own line break was not shown either
	line := strings.TrimRight(strings.NewReplacer(pasteBegins, "", pasteEnds, "").Replace(typed), "\r\n")
	switch {
	case err != nil:
		return "", err
	case strings.ContainsAny(line, "\r\n"):
		return "", ErrSeveralLines
	case len(line) >= promptLimit:
		return "", ErrTooLongToType
	}
	return line, nil
}

// Confirm asks a yes-or-no question at the keyboard. Anything but a clear yes is a no, even a paste of several
// lines, none of which reaches the shell. The error is that of ctx.
func (s *Screen) Confirm(ctx context.Context, question string) (bool, error) {
	typed, err := s.ask(ctx, s.Err.Wrap(question+" [y/N]", 0)+" ", false)
	if ctx.Err() != nil {
		fmt.Fprintln(s.Err) // what follows begins a line
	}
	answer := strings.ToLower(strings.TrimSpace(typed))
	return err == nil && (answer == "y" || answer == "yes"), ctx.Err()
}

// ask reads a line at the keyboard and whatever was pasted behind it, then restores the terminal, even when ctx
// ends. After Ctrl-Z and fg it asks again, at the beginning of a line: the terminal has dropped what was typed.
func (s *Screen) ask(ctx context.Context, prompt string, hidden bool) (typed string, err error) {
	keyboard := s.keyboard()
	fd := int(keyboard.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	show := func(before string) {
		if hidden {
			s.Err.bracketPastes(bracketsOn)
		}
		fmt.Fprint(s.Err, before, prompt)
	}
	stop := onContinue(fd, hidden, func() { show("\r") })
	show("")
	typed, err = Await(ctx, func() (string, error) { return readTyped(keyboard, hidden) })
	stop() // before the terminal is restored: the process may have gone on after the answer
	if hidden {
		s.Err.bracketPastes(bracketsOff)
	}
	return typed, errors.Join(err, term.Restore(fd, before))
}

// Await waits for a read that cannot be stopped, until ctx ends. Then the read goes on, and its result is lost.
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
