package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// The system's calls on the database's files, each with what it may say; "?" marks what not every machine has.
func faults() [][2]string {
	return [][2]string{
		{"?open", "EIO"}, {"?open", "EACCES"}, {"openat", "EIO"}, {"openat", "EMFILE"}, {"pread64", "EIO"}, {"pwrite64", "EIO"},
		{"pwrite64", "ENOSPC"}, {"fsync", "EIO"}, {"renameat", "EIO"}, {"?unlink", "EIO"}, {"unlinkat", "EIO"}, {"ftruncate", "EIO"},
		{"?stat", "EIO"}, {"fstat", "EIO"}, {"newfstatat", "EIO"}, {"flock", "EINTR"}, {"mmap", "ENOMEM"}, {"fcntl", "EIO"},
	}
}

// One call fails, at each place where there is one. What was recorded before is there afterwards, a sound database is where it was,
// and what a process says that it has recorded is recorded.
func TestAnErrorAtAnyCallLosesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(b *bench)
		kept    int
		copies  int
	}{
		"a new home":         {func(*bench) {}, 0, 0},
		"a database":         {func(b *bench) { b.fill(20); b.write(note("in the WAL")); b.s.Sync() }, 21, 0},
		"a damaged database": {func(b *bench) { b.fill(60); b.damage(30) }, 40, 1},
	} {
		for _, fault := range faults() {
			if test.copies > 0 && fault[0] == "pread64" {
				continue // damage to SQLite: what lies behind it stays in the copy
			}
			t.Run(name+" and "+fault[0]+" says "+fault[1], func(t *testing.T) {
				t.Parallel()
				seen := 0
				for at := 1; ; at = following(at) {
					b := newBench(t)
					test.prepare(b)
					if !b.failing(fault, at, test.kept, test.copies) {
						break
					}
					seen++
				}
				t.Logf("%d calls failed", seen)
			})
		}
	}
}

// following is the call that fails next: in the long form each does.
func following(at int) int {
	if os.Getenv("ARCADE_TORTURE_ROUNDS") != "" {
		return at + 1
	}
	return 3 * at
}

// failing runs a process of which one call fails, then a healthy one, and looks at what is there. It returns false when the process
// makes fewer calls.
func (b *bench) failing(fault [2]string, at, kept, copies int) bool {
	b.Helper()
	b.s.Sync()
	b.s.Close()
	args := []string{"-e", "trace=" + fault[0], "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", fault[0], fault[1], at)}
	dir := filepath.Dir(b.path)
	for _, name := range []string{"", "notes.db", "notes.db-wal", "notes.db-shm", "notes.db-journal", "notes.db.lock", "notes.db.damaged", "notes.db.damaged-wal"} {
		args = append(args, "-P", filepath.Join(dir, name))
	}
	trace, said, failure := b.strace(args...)
	if !strings.Contains(trace, "INJECTED") {
		return false
	}
	where := fmt.Sprintf("call %d fails with %s", at, regexp.MustCompile(`(?m)^.*INJECTED.*$`).FindString(trace))
	b.s = b.open(store.Config{})
	want := kept
	if failure == nil {
		want++
	}
	if n, _ := strconv.Atoi(b.one(`SELECT count(*) FROM notes`)); n < want {
		b.Errorf("%s: %d notes are there, want %d (the process ended with %v, %s)", where, n, want, failure, said)
	}
	b.write(readAll)
	b.isWhole()
	if found := b.copies(); len(found) != copies {
		b.Errorf("%s: the copies are %v, want %d", where, found, copies)
	}
	return true
}
