package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// strace runs a process that writes one note under strace. What it says is in the error.
func (b *bench) strace(args ...string) (trace string, failure error) {
	b.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		b.Skip("no strace here")
	}
	output := filepath.Join(b.TempDir(), "trace")
	failure = b.run(exec.Command("strace", append(append([]string{"-f", "-o", output}, args...), os.Args[0])...))
	if failure != nil && strings.Contains(failure.Error(), "ptrace") {
		b.Skip("no tracing here: ", failure)
	}
	content, err := os.ReadFile(output)
	b.must(err)
	return string(content), failure
}

// traced is strace for a process that succeeds.
func (b *bench) traced(args ...string) (trace string) {
	b.Helper()
	trace, err := b.strace(args...)
	b.must(err)
	return trace
}

// A crowd queues for the lock; what each of it does under the lock, all behind it wait for. After a wait in vain there is no such queue,
// and opening a database may take SQLite ten seconds.
func TestADatabaseInUseIsOpenedBeforeTheLockIsTakenUnlessAWaitWasInVain(t *testing.T) {
	b := newBench(t)
	b.write(note("a")) // and stays open
	for _, vain := range []bool{false, true} {
		if vain {
			b.noteVain()
		}
		trace := b.traced("-e", "trace=?open,openat,flock")
		opened, locked := strings.Index(trace, `notes.db", O_RDWR`), strings.Index(trace, "flock(")
		if opened < 0 || locked < 0 || vain != (opened > locked) {
			t.Errorf("a wait was in vain: %t; the database is opened at %d and the lock taken at %d of the trace:\n%s", vain, opened, locked, trace)
		}
	}
}

// SQLite takes only ENOSPC for a full disk, and any error of its shared memory for a lack of room.
func TestWhatTheSystemSaysIsToldAsWhatItIs(t *testing.T) {
	for fault, want := range map[string]error{
		"pwrite64,write:error=EDQUOT -wal .try": store.ErrFull,
		"pwrite64:error=EIO -shm":               store.ErrUnreadable,
		"openat:error=EIO .lock":                store.ErrUnreadable,
		"flock:error=ENOLCK .lock":              store.ErrUnreadable,
		"openat:error=EIO:when=1 .lock":         nil, // it is met twice, unless it meets another thread as well
	} {
		b := newBench(t)
		b.fill(1)
		b.leave()
		inject, suffixes, _ := strings.Cut(fault, " ")
		args := []string{"-e", "inject=" + inject}
		for _, suffix := range strings.Fields(suffixes) {
			args = append(args, "-P", b.path+suffix)
		}
		trace, err := b.strace(args...)
		met := strings.Count(trace, "INJECTED")
		if (want != nil || met == 1) && !strings.Contains(fmt.Sprint(err), fmt.Sprint(want)) {
			t.Errorf("%s: it says %v, want %v:\n%s", fault, err, want, trace)
		}
	}
}

func TestWhereThereAreNoLocksItIsWrittenAllTheSame(t *testing.T) {
	b := newBench(t)
	if trace := b.traced("-e", "trace=flock", "-e", "inject=flock:error=EOPNOTSUPP"); !strings.Contains(trace, "INJECTED") {
		t.Fatalf("no lock was asked for: %s", trace)
	}
	b.holds(1)
}

// Each sync is a wait for the disk, and each CI job has a fresh home.
// In a new home the names of the files are made durable, too. The program adds one sync, that of usage.json.
func TestTheFirstCommandMakesThreeSyncsAndTheNextOne(t *testing.T) {
	b := newBench(t)
	directory := filepath.Base(filepath.Dir(b.path))
	for i, want := range [][]string{{"notes.db", "notes.db-wal", directory}, {"notes.db-wal"}} {
		var synced []string
		trace := b.traced("-y", "-e", "trace=fsync,fdatasync,sync_file_range,msync")
		for _, call := range regexp.MustCompile(`(?m)^\d+ +\w+\(\d+<([^>]*)>`).FindAllStringSubmatch(trace, -1) {
			synced = append(synced, filepath.Base(call[1]))
		}
		if !slices.Equal(synced, want) {
			t.Errorf("command %d synced %v, want %v:\n%s", i+1, synced, want, trace)
		}
	}
}

// The kernel itself refuses to map the file of the shared memory, as FUSE with direct_io does.
func TestWithoutSharedMemoryTheSameIsPromised(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"a new home":                   func(*bench) {},
		"a home that was copied there": func(b *bench) { b.fill(1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			trace := b.traced("-e", "trace=mmap", "-P", b.path+"-shm", "-e", "inject=mmap:error=ENODEV")
			if !strings.Contains(trace, "INJECTED") {
				t.Skipf("the error never came: %s", trace)
			}
			b.want(`SELECT count(*) FROM notes WHERE text LIKE 'the child%'`, "1")
			b.want(`PRAGMA journal_mode`, "delete") // which needs no shared memory
			b.write(note("and this"))
			if err := b.s.Sync(); err != nil {
				t.Errorf("leaving without a WAL: %v", err)
			}
			b.isWhole()
		})
	}
}

// One call fails, at each place where there is one. What was recorded before is there afterwards, a sound database is where it was,
// and what a process says that it has recorded is recorded.
func TestAnErrorAtAnyCallLosesNothing(t *testing.T) {
	faults := [][2]string{ // calls on the database's files, each with what it may say; "?" marks what not every machine has
		{"?open", "EIO"}, {"?open", "EACCES"}, {"openat", "EIO"}, {"openat", "EMFILE"}, {"pread64", "EIO"}, {"pwrite64", "EIO"},
		{"pwrite64", "ENOSPC"}, {"fsync", "EIO"}, {"renameat", "EIO"}, {"?unlink", "EIO"}, {"unlinkat", "EIO"}, {"ftruncate", "EIO"},
		{"?stat", "EIO"}, {"fstat", "EIO"}, {"newfstatat", "EIO"}, {"flock", "EINTR"}, {"mmap", "ENOMEM"}, {"fcntl", "EIO"},
	}
	factor, step := 3, 0
	if os.Getenv("ARCADE_TORTURE_ROUNDS") != "" { // in the long form each call fails
		factor, step = 1, 1
	}
	for name, test := range map[string]struct {
		prepare func(b *bench)
		kept    int
		copies  int
	}{
		"a new home":         {func(*bench) {}, 0, 0},
		"a database":         {func(b *bench) { b.fill(20); b.write(note("in the WAL")); b.s.Sync() }, 21, 0},
		"a damaged database": {func(b *bench) { b.fill(60); b.damage(30) }, 40, 1},
	} {
		for _, fault := range faults {
			if test.copies > 0 && fault[0] == "pread64" {
				continue // damage to SQLite: what lies behind it stays in the copy
			}
			t.Run(name+" and "+fault[0]+" says "+fault[1], func(t *testing.T) {
				t.Parallel()
				for at, fails := 1, true; fails; at = factor*at + step {
					b := newBench(t)
					test.prepare(b)
					fails = b.failing(fault, at, test.kept, test.copies)
				}
			})
		}
	}
}

// failing runs a process of which one call fails, then a healthy one, and looks at what is there. It returns false when the process
// makes fewer calls.
func (b *bench) failing(fault [2]string, at, kept, copies int) bool {
	b.Helper()
	b.leave()
	inject := fmt.Sprintf("inject=%s:error=%s:when=%d", fault[0], fault[1], at)
	args := []string{"-P", filepath.Dir(b.path), "-e", "trace=" + fault[0], "-e", inject}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock", ".damaged", ".damaged-wal"} {
		args = append(args, "-P", b.path+suffix)
	}
	trace, failure := b.strace(args...)
	if !strings.Contains(trace, "INJECTED") {
		return false
	}
	where := fmt.Sprintf("call %d fails with %s", at, regexp.MustCompile(`(?m)^.*INJECTED.*$`).FindString(trace))
	b.s = b.open(store.Config{})
	if failure == nil {
		kept++
	}
	if n := b.count(); n < kept {
		b.Errorf("%s: %d notes are there, want %d (the process ended with %v)", where, n, kept, failure)
	}
	b.write(readAll)
	b.isWhole()
	b.copied(copies)
	if b.Failed() {
		b.Log(where)
	}
	return true
}
