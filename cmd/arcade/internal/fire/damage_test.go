//go:build linux

package fire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func garbling(name string) func(m *machine) {
	return func(m *machine) {
		m.Require(os.WriteFile(m.Path(name), bytes.Repeat([]byte{0xAB}, len(m.ReadFile(name))), 0o600))
	}
}

func removing(names ...string) func(m *machine) {
	return func(m *machine) {
		for _, name := range names {
			m.Require(os.Remove(m.Path(name)))
		}
	}
}

func changing(statement string) func(m *machine) { return func(m *machine) { m.Change(statement) } }

// Each happens to an outbox with three events, of which the last one is only in the WAL. What SQLite makes of a damaged file is
// for the tests of the store to say; here are those that the identity has to survive.
func TestTortureADamagedOutboxCostsNoCommandAndMendsItself(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]struct {
		do   func(m *machine)
		kept int // events that have to survive it
	}{
		"the database is garbage":       {garbling("usage.db"), 0},
		"the database is missing":       {removing("usage.db"), 0},
		"the WAL is garbage":            {garbling("usage.db-wal"), 2},
		"the shared memory is garbage":  {garbling("usage.db-shm"), 3},
		"the mirror is missing":         {removing("usage.json"), 3},
		"the mirror is garbage":         {garbling("usage.json"), 3},
		"only the mirror is left":       {removing("usage.db", "usage.db-wal", "usage.db-shm", "usage.db.lock"), 0},
		"the identity is lost":          {changing(`DELETE FROM identities`), 3},
		"the identity is somebody else": {changing(`UPDATE identities SET anon_id = '00000000-0000-4000-8000-000000000000'`), 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t).unsent()
			m.Must("succeed")
			m.Must("succeed")
			m.Change(`UPDATE delivery SET failures = failures`)
			m.Must("succeed")
			anonID := m.anonID()
			damage.do(m)
			m.unnoticed(succeeding, failing, succeeding)
			m.stays(anonID)
			m.arrives(damage.kept + 3)
		})
	}
}

func TestAHomeThatCannotBeUsedCostsNoCommand(t *testing.T) {
	t.Parallel()
	occupied := t.TempDir()
	if err := os.MkdirAll(filepath.Join(occupied, ".arcade", "usage.db", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]string{
		"a directory in place of the database": "ARCADE_WORK_DIR=" + occupied,
		"a file in place of the directory":     "ARCADE_WORK_DIR=/etc/passwd",
		"a directory that cannot be made":      "ARCADE_WORK_DIR=/proc/nowhere",
		"a device in place of the home":        "HOME=/dev/null",
		"a home in /proc":                      "HOME=/proc/self",
		"no home at all":                       "HOME=",
	} {
		t.Run(name, func(t *testing.T) {
			newMachine(t).with(env).unnoticed(succeeding, failing, []string{"nonsense"}, []string{"succeed", "--nonsense"})
		})
	}
}

// A disk forgets anything, at any place. The third command after it is recorded at the latest, or status says why none is: what
// SQLite does not call damage waits for a person. What goes on of the messages is for the tests of the store to say.
func TestTortureRandomDamage(t *testing.T) {
	t.Parallel()
	from := seed(t)
	atOnce(max(20, number(t, tortureRounds))/5, 2, func(round int) {
		t.Run(fmt.Sprintf("round %d of seed %d", round, from), func(t *testing.T) {
			m := newMachine(t).unsent()
			m.Must("succeed")
			m.Multiply(300, 200)
			m.Must("usage", "enable") // closes, and so moves the WAL into the database
			m.Must("succeed")
			anon, kept := m.anonID(), m.kept()
			m.decay(newRand(from, uint64(round)))
			m.unnoticed(succeeding, failing, succeeding)
			refused := m.Run("usage", "status").Code != 0
			m.with("ARCADE_USAGE_KEY=phc_test").Run(flushing...)
			anew := m.shown()
			for _, message := range kept {
				delete(anew, message.UUID)
			}
			if len(anew) > 0 {
				m.stays(anon)
			} else if !refused {
				t.Error("none of three commands after the damage was recorded, and status does not say why")
			}
		})
	})
}

// decay damages the database at one random place: one that is in use on every machine, or any. It is flipped, overwritten,
// or lost with all that follows.
func (m *machine) decay(rng *rand.Rand) {
	m.Helper()
	const page = 4096
	content := []byte(m.ReadFile("usage.db"))
	at := rng.IntN(pick(rng, len(content), len(content), min(len(content), 20*page)))
	size := pick(rng, 1, 1+rng.IntN(100), 512, page, len(content))
	at -= at % size
	if size == len(content) {
		content = content[:1+rng.IntN(size)]
	}
	for i := at; i < min(at+size, len(content)) && size <= page; i++ {
		content[i] ^= byte(1 + rng.IntN(255))
	}
	m.Logf("%d bytes of damage at %d, %d are left", size, at, len(content))
	m.Require(os.WriteFile(m.Path("usage.db"), content, 0o600))
}
