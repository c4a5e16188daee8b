//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// floors measures what this machine takes for what no design can avoid.
func (b *bench) floors() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	file, err := os.Create(filepath.Join(m.home, "lines"))
	if err != nil {
		return err
	}
	defer file.Close()
	var syncs, posts sample
	for range b.runs {
		start := time.Now()
		if _, err := file.WriteString(strings.Repeat("x", 600) + "\n"); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		syncs = append(syncs, time.Since(start))
		start = time.Now()
		response, err := http.Post(m.posthog.URL, "application/json", bytes.NewReader(nil))
		if err != nil {
			return err
		}
		response.Body.Close()
		posts = append(posts, time.Since(start))
	}
	b.line("floor: append and fsync one line", series{wall: syncs}, "")
	b.line("floor: a POST on loopback", series{wall: posts}, "")
	return nil
}

func (b *bench) startUp() error {
	program := func(name string, args ...string) func() *exec.Cmd {
		return func() *exec.Cmd { return exec.Command(filepath.Join(b.bin, name), args...) }
	}
	s, err := inTurn(b.runs, program("empty"), program("cobra", "--version"), program("arcade", "--version"))
	if err != nil {
		return err
	}
	b.line("floor: an empty Go program", s[0], "")
	b.line("floor: an empty cobra program, --version", s[1], "")
	b.line("arcade --version", s[2], "%.2f times the empty cobra program", s[2].wall.ratio(s[1].wall))
	return nil
}

// recording compares a warm database without and with tracking, when no flusher is due.
func (b *bench) recording() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	if err := m.logout(keeping).Run(); err != nil {
		return err
	}
	return b.compare(m, b.runs, "a recorded command")
}

// growth is what a command pays for what others have left: in the queue, up to its cap, and in receipts.
func (b *bench) growth() error {
	homes := []struct {
		what              string
		waiting, receipts int
	}{
		{"an empty queue", 0, 0}, {"1,000 waiting", 1_000, 0}, {"10,000 waiting", 10_000, 0},
		{"90,000 waiting", 90_000, 0}, {"100,000 waiting, the cap", 100_000, 0}, {"500 receipts", 0, 500},
	}
	var recorded, untracked []func() *exec.Cmd
	for _, home := range homes {
		m, err := b.newMachine()
		if err != nil {
			return err
		}
		defer m.remove()
		if err := m.fill(home.waiting + home.receipts); err != nil {
			return err
		}
		if home.receipts > 0 {
			if err := m.flusher().Run(); err != nil {
				return err
			}
		}
		recorded = append(recorded, func() *exec.Cmd { return m.logout(keeping) })
		untracked = append(untracked, func() *exec.Cmd { return m.logout(off) })
	}
	s, err := inTurn(b.runs, append(recorded, untracked...)...)
	if err != nil {
		return err
	}
	first := s[0].minus(s[len(homes)])
	for i, home := range homes {
		added := s[i].minus(s[len(homes)+i])
		b.line("a recorded command, "+home.what+", minus tracking off", added, "%.2f times an empty queue's added wall, %.2f its added CPU",
			float64(added.wall.median())/float64(first.wall.median()), float64(added.cpu.median())/float64(first.cpu.median()))
	}
	return nil
}

// longWAL is recording at its most expensive: every command reads the WAL that others have left.
func (b *bench) longWAL() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	wal := filepath.Join(m.home, ".arcade", "usage.db-wal")
	for {
		if err := m.logout(keeping).Run(); err != nil {
			return err
		}
		if info, err := os.Stat(wal); err == nil && info.Size() > 700_000 {
			return b.compare(m, 15, "a recorded command behind a WAL of 700 to 1000 kB")
		}
	}
}

func (b *bench) compare(m *machine, runs int, what string) error {
	s, err := inTurn(runs, func() *exec.Cmd { return m.logout(off) }, func() *exec.Cmd { return m.logout(keeping) })
	if err != nil {
		return err
	}
	b.line(what+", tracking off", s[0], "")
	b.line(what+", tracking on", s[1], "%.2f times", s[1].wall.ratio(s[0].wall))
	b.line("the difference, pair by pair", s[1].minus(s[0]), "")
	return nil
}

// spawning compares recording with and without starting a flusher, which delivers and is gone
// before the next command.
func (b *bench) spawning() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	if err := m.logout(keeping).Run(); err != nil {
		return err
	}
	var quiet, spawned series
	for i := range b.runs {
		if err := quiet.run(m.logout(keeping)); err != nil {
			return err
		}
		if err := spawned.run(m.logout(nil)); err != nil {
			return err
		}
		for m.arrived.Load() < int64(2*i+3) {
			time.Sleep(time.Millisecond)
		}
		m.awaitNoFlusher()
	}
	b.line("a recorded command after a delivery", quiet, "")
	b.line("the same, starting a flusher", spawned, "")
	b.line("the difference, pair by pair", spawned.minus(quiet), "")
	return nil
}

// crowds starts many commands at once, without and with tracking, and asks for the write lock
// in between as one more command would.
func (b *bench) crowds() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	if err := m.logout(keeping).Run(); err != nil {
		return err
	}
	var without, with, waits sample
	for range max(b.runs/30, 5) {
		took, _, err := b.crowdOf(m, off)
		if err != nil {
			return err
		}
		without = append(without, took)
		took, waited, err := b.crowdOf(m, keeping)
		if err != nil {
			return err
		}
		with, waits = append(with, took), append(waits, waited...)
	}
	b.line(fmt.Sprintf("%d commands at once, tracking off", b.crowd), series{wall: without}, "")
	b.line(fmt.Sprintf("%d commands at once, tracking on", b.crowd), series{wall: with}, "%.2f times", with.ratio(without))
	b.line("wait for the write lock meanwhile", series{wall: waits}, "%d samples", len(waits))
	return nil
}

func (b *bench) crowdOf(m *machine, environment []string) (took time.Duration, waits sample, err error) {
	done := make(chan struct{})
	probed := make(chan sample)
	go func() { probed <- probe(filepath.Join(m.home, ".arcade", "usage.db.lock"), done) }()
	errs := make([]error, b.crowd)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range b.crowd {
		wg.Go(func() { errs[i] = m.logout(environment).Run() })
	}
	wg.Wait()
	took = time.Since(start)
	close(done)
	waits = <-probed
	for _, err := range errs {
		if err != nil {
			return 0, nil, err
		}
	}
	return took, waits, nil
}

// probe asks for the lock again and again and notes how long it waits.
func probe(path string, done <-chan struct{}) (waits sample) {
	for {
		select {
		case <-done:
			return waits
		case <-time.After(2 * time.Millisecond):
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		start := time.Now()
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX) == nil {
			waits = append(waits, time.Since(start))
		}
		file.Close()
	}
}

func (b *bench) memory() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	if err := m.fill(10); err != nil {
		return err
	}
	for _, test := range []struct {
		what string
		cmd  *exec.Cmd
	}{
		{"arcade --version", m.command(off, "--version")},
		{"a command, tracking off", m.logout(off)},
		{"a recorded command", m.logout(keeping)},
		{"a flusher, ten messages", m.flusher()},
	} {
		r, err := b.meter(test.cmd, 1)
		if err != nil {
			return err
		}
		b.note("peak memory: "+test.what, "%.1f MB", float64(r.peak)/1e6)
	}
	return nil
}

// reading is what the meter says of a program.
type reading struct {
	wall, cpu, own time.Duration // cpu of all processes, own of the program alone
	peak, written  int64         // in bytes
}

// meter runs a command a number of times in a row, and waits for what it leaves behind.
func (b *bench) meter(cmd *exec.Cmd, times int) (r reading, err error) {
	cmd.Args = append([]string{"meter", strconv.Itoa(times), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = filepath.Join(b.bin, "meter")
	printed, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	_, err = fmt.Sscan(string(printed), &r.wall, &r.cpu, &r.own, &r.peak, &r.written)
	return r, err
}

// backlogs lets one flusher drain what an outage of weeks has left.
func (b *bench) backlogs() error {
	m, err := b.newMachine()
	if err != nil {
		return err
	}
	defer m.remove()
	if err := m.fill(b.backlog - 1); err != nil {
		return err
	}
	r, err := b.meter(m.flusher(), 1)
	if err != nil {
		return err
	}
	arrived := m.arrived.Load()
	b.note(fmt.Sprintf("one flusher and a backlog of %d", b.backlog), "%d delivered in %.1f s, %.0f a second",
		arrived, r.wall.Seconds(), float64(arrived)/r.wall.Seconds())
	b.note("peak memory: that flusher", "%.1f MB", float64(r.peak)/1e6)
	return nil
}

func (b *bench) size() error {
	info, err := os.Stat(filepath.Join(b.bin, "arcade"))
	if err != nil {
		return err
	}
	b.note("size of the stripped binary", "%.2f MB", float64(info.Size())/1e6)
	return nil
}
