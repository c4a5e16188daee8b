package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// followInterval is how often the outbox is looked at: often enough to look live, and a look
// takes a fraction of a millisecond.
const followInterval = 200 * time.Millisecond

// follow prints messages as they are recorded and again when they are settled, until Ctrl-C,
// which is how following ends and no error.
func (a *app) follow(ctx context.Context, filter outbox.Filter) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	box := a.outbox(home)
	t := a.terminal(a.out)
	seen := map[string]string{}
	headed := !t.interactive
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		s, err := a.look(ctx, box, filter)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !headed {
			headed = true
			a.printHeader(s, box, t)
		}
		for _, m := range changed(seen, s.messages) {
			if _, err := fmt.Fprintln(a.out, a.followLine(m, t)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// changed returns the messages that are new or in a new state, and notes them as seen.
func changed(seen map[string]string, messages []outbox.Message) (list []outbox.Message) {
	for _, m := range messages {
		if now := string(m.State) + m.LastError; seen[m.UUID] != now {
			seen[m.UUID] = now
			list = append(list, m)
		}
	}
	return list
}

func (a *app) followLine(m outbox.Message, t terminal) string {
	if !t.interactive {
		return strings.Join(rowsForPrograms([]outbox.Message{m})[0], "\t")
	}
	command, result := summary(m)
	clock := m.RecordedAt
	if !m.SettledAt.IsZero() {
		clock = m.SettledAt
	}
	// The state is padded before it is painted: colours have no width.
	state := stateLabel(m.State, t) + strings.Repeat(" ", len(outbox.Delivered)-len(m.State))
	return fmt.Sprintf("%s  %4d  %s  %s", clock.Local().Format(time.TimeOnly), m.Seq, state,
		t.clip(strings.TrimSpace(command+", "+result+"  "+m.LastError), max(t.width-30, 10)))
}
