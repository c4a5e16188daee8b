//go:build linux

package fire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// A disk forgets anything, at any place. Nobody notices, what lies on pages that were not touched is delivered or kept in a
// file, and the third command after it is recorded at the latest, or status says why none is: what SQLite does not call damage
// waits for a person.
func TestTortureRandomDamage(t *testing.T) {
	t.Parallel()
	n, _ := rounds(t, 20)
	from := seed(t)
	atOnce(n/5, 2, func(round int) {
		t.Run(fmt.Sprintf("round %d of seed %d", round, from), func(t *testing.T) {
			m := newMachine(t).unsent()
			m.Must("succeed")
			m.recordInBulk(300, 200)
			m.Must("usage", "enable") // closes, and so moves the WAL into the database
			m.Must("succeed")
			anon := m.Inspect().Identity.AnonID
			before := m.kept()
			d := m.decay(newRand(from, uint64(round)))
			t.Log(d.what)
			m.unnoticed(succeeding, failing)
			m.unnoticed(succeeding)
			refused := m.Run("usage", "status").Code != 0
			m.with("ARCADE_USAGE_KEY=phc_test").Run(flushing...)
			arrived, files := m.shown(), m.files()
			anew := len(arrived)
			for _, message := range before {
				if arrived[message.UUID] {
					anew--
				}
				if d.leaves(message) && !arrived[message.UUID] && !strings.Contains(files, message.UUID) {
					t.Errorf("message %d is lost, and could be read", message.Seq)
				}
			}
			switch {
			case anew > 0:
				m.stays(anon)
			case !refused:
				t.Error("none of three commands after the damage was recorded, and status does not say why")
			}
		})
	})
}

// files returns what lies in Arcade's directory.
func (m *machine) files() (content string) {
	m.Helper()
	entries, err := os.ReadDir(m.Path(""))
	if err != nil {
		m.Fatal(err)
	}
	for _, entry := range entries {
		content += m.ReadFile(entry.Name())
	}
	return content
}

// decay is damage done to the database.
type decay struct {
	what          string
	before, after []byte
}

// decay damages the database at one random place: one that is in use on every machine, or any.
func (m *machine) decay(rng *rand.Rand) (d decay) {
	m.Helper()
	d.before = []byte(m.ReadFile("usage.db"))
	d.after = slices.Clone(d.before)
	at := rng.IntN(len(d.after))
	if rng.IntN(3) == 0 {
		at = rng.IntN(min(len(d.after), 20*page))
	}
	size := []int{1, 1 + rng.IntN(100), 512, page, len(d.after)}[rng.IntN(5)]
	end := min(at-at%size+size, len(d.after))
	switch {
	case size == 1:
		d.what = fmt.Sprintf("the loss of a bit of byte %d", at)
		d.after[at] ^= 1 << rng.IntN(8)
	case size < 512:
		d.what = fmt.Sprintf("garbage in %d bytes around %d", size, at)
		for i := at - at%size; i < end; i++ {
			d.after[i] = byte(rng.IntN(256))
		}
	case size <= page:
		d.what = fmt.Sprintf("zeroes in %d bytes around %d", size, at)
		clear(d.after[at-at%size : end])
	default:
		d.what = fmt.Sprintf("the loss of all from %d on", at)
		d.after = d.after[:at]
	}
	if err := os.WriteFile(m.Path("usage.db"), d.after, 0o600); err != nil {
		m.Fatal(err)
	}
	return d
}

// leaves tells whether a message lies where the damage did not reach. A damaged page between the
// leaves takes them along. The pages' kinds are https://www.sqlite.org/fileformat.html's.
func (d decay) leaves(message kept) bool {
	const interior, leaf = 5, 13
	for at := 0; at < len(d.before); at += page {
		was := d.before[at : at+page]
		whole := len(d.after) >= at+page && bytes.Equal(was, d.after[at:at+page])
		if !whole && (was[0] == interior || was[0] == leaf && bytes.Contains(was, []byte(message.UUID))) {
			return false
		}
	}
	return true
}
