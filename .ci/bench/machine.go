//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// The environments that are compared.
var (
	off     = []string{"ARCADE_USAGE_TRACKING=0"}
	keeping = []string{"ARCADE_USAGE_KEY="} // recorded, and no flusher is ever due
)

// machine is a home with a PostHog of its own.
type machine struct {
	*bench
	home    string
	posthog *httptest.Server
	arrived atomic.Int64
}

func (b *bench) newMachine() (*machine, error) {
	home, err := os.MkdirTemp("", "arcade-bench")
	m := &machine{bench: b, home: home}
	m.posthog = httptest.NewServer(outboxtest.Counting(&m.arrived, 0))
	return m, err
}

func (m *machine) remove() {
	m.awaitNoFlusher()
	m.posthog.Close()
	os.RemoveAll(m.home)
}

// command prepares a command that does next to nothing but being recorded.
func (m *machine) command(environment []string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(m.bin, "arcade"), args...)
	cmd.Dir = m.home
	cmd.Env = append([]string{"HOME=" + m.home, "PATH=" + os.Getenv("PATH"),
		"ARCADE_USAGE_HOST=" + m.posthog.URL, "ARCADE_USAGE_KEY=phc_bench"}, environment...)
	return cmd
}

// logout is a recorded command that finds nothing to do.
func (m *machine) logout(environment []string) *exec.Cmd { return m.command(environment, "logout") }

// flusher prepares a process that delivers, as a command would start it: told by a variable what it
// is, with its environment coming through a pipe.
func (m *machine) flusher() *exec.Cmd {
	cmd := m.command(nil)
	cmd.Stdin = strings.NewReader(strings.Join(cmd.Env, "\x00") + "\x00\x00")
	cmd.Env = []string{"OUTBOX_FLUSHER=1"}
	return cmd
}

func (m *machine) box() (*outbox.Outbox, error) {
	return outbox.New(outbox.Config{
		Path: filepath.Join(m.home, ".arcade", "usage.db"), Tables: migrations.Identity(),
	})
}

func (m *machine) awaitNoFlusher() {
	if box, err := m.box(); err == nil {
		box.AwaitFlusher(context.Background(), time.Minute)
	}
}

// fill adds a backlog of messages of 600 bytes each, behind a first command that makes the
// database.
func (m *machine) fill(messages int) error {
	if err := m.logout(keeping).Run(); err != nil {
		return err
	}
	// The command that starts a flusher makes its locks: it does nothing without the first one, and would
	// not linger, as those of users do, without the second.
	for _, name := range []string{"usage.db.flusher.lock", "usage.db.linger.lock"} {
		if err := os.WriteFile(filepath.Join(m.home, ".arcade", name), nil, 0o600); err != nil {
			return err
		}
	}
	box, err := m.box()
	if err != nil {
		return err
	}
	defer box.Close()
	for added := 0; added < messages; added += 1000 {
		err := box.Update(context.Background(), func(tx *outbox.Tx) error {
			for range min(1000, messages-added) {
				if err := tx.Add(context.Background(), message()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill the outbox: %w", err)
		}
	}
	return nil
}

func message() outbox.Message {
	const anonID = "11111111-1111-4111-8111-111111111111"
	return outbox.Message{
		UUID: uuid.Must(uuid.NewV7()).String(), Kind: outbox.Capture, Event: "CLI execution succeeded",
		AnonID: anonID, DistinctID: anonID, RecordedAt: time.Now().Truncate(time.Millisecond),
		Properties: fmt.Appendf(nil, `{"command_name":"secret.set","cli_version":"1.0.0","duration":12.34,"text":%q}`,
			strings.Repeat("x", 250)),
	}
}

// run runs a command and adds what it took, from its start to its end.
func (s *series) run(cmd *exec.Cmd) error {
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w", cmd.Args, err)
	}
	s.wall = append(s.wall, time.Since(start))
	s.cpu = append(s.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	return nil
}

// inTurn runs the commands one after the other, n times around.
func inTurn(n int, commands ...func() *exec.Cmd) ([]series, error) {
	all := make([]series, len(commands))
	for range n {
		for i, command := range commands {
			if err := all[i].run(command()); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
