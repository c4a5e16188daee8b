package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// traced runs a process that writes one note under strace.
func (b *bench) traced(args ...string) (trace string) {
	b.Helper()
	trace, said, err := b.strace(args...)
	if err != nil {
		b.Fatalf("the process failed: %v, %s", err, said)
	}
	return trace
}

func (b *bench) strace(args ...string) (trace, said string, failure error) {
	b.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		b.Skip("no strace here")
	}
	output := filepath.Join(b.TempDir(), "trace")
	cmd := exec.Command("strace", append(append([]string{"-f", "-o", output}, args...), os.Args[0])...)
	cmd.Env = append(os.Environ(), childVariable+"="+b.path)
	printed, failure := cmd.CombinedOutput()
	if strings.Contains(string(printed), "ptrace") {
		b.Skipf("no tracing here: %s", printed)
	}
	content, err := os.ReadFile(output)
	if err != nil {
		b.Fatal(err)
	}
	return string(content), string(printed), failure
}

// SQLite takes only ENOSPC for a full disk.
func TestAQuotaThatIsUsedUpIsAFullDisk(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.leave()
	trace, said, err := b.strace("-e", "trace=pwrite64,write", "-P", b.path+"-wal", "-P", b.path+".try", "-e", "inject=pwrite64,write:error=EDQUOT")
	if err == nil || !strings.Contains(said, store.ErrFull.Error()) {
		t.Errorf("it says %q, want %q:\n%s", said, store.ErrFull, trace)
	}
}

func TestWhereThereAreNoLocksItIsWrittenAllTheSame(t *testing.T) {
	b := newBench(t)
	if trace := b.traced("-e", "trace=flock", "-e", "inject=flock:error=EOPNOTSUPP"); !strings.Contains(trace, "INJECTED") {
		t.Fatalf("no lock was asked for: %s", trace)
	}
	if n := b.one(`SELECT count(*) FROM notes`); n != "1" {
		t.Errorf("%s notes are there, want one", n)
	}
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
		if i == 0 && len(b.beside("-wal")) != 1 {
			t.Errorf("the first command has left %v, want its WAL among it", b.beside(""))
		}
	}
}

// The kernel itself refuses to map the file of the shared memory, as FUSE with direct_io does.
func TestWithoutSharedMemoryTheSameIsPromised(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"a new home": func(b *bench) {},
		"a home that was copied there": func(b *bench) {
			b.write(note("a"))
			b.leave()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			trace := b.traced("-e", "trace=mmap,fsync,fdatasync", "-P", b.path+"-shm", "-P", b.path, "-P", filepath.Dir(b.path), "-e", "inject=mmap:error=ENODEV")
			if !strings.Contains(trace, "INJECTED") {
				t.Skipf("the error never came: %s", trace)
			}
			if b.one(`SELECT count(*) FROM notes WHERE text LIKE 'the child%'`) != "1" {
				t.Error("the note is lost")
			}
			if mode := b.one(`PRAGMA journal_mode`); mode != "delete" {
				t.Errorf("the journal mode is %s, want one that needs no shared memory", mode)
			}
			b.write(note("and this"))
			if err := b.s.Sync(); err != nil {
				t.Errorf("leaving without a WAL: %v", err)
			}
			b.isSound()
		})
	}
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can play somebody else")
	}
}

const somebody = 12345

// After one command under sudo the home's files must still be its owner's.
func TestRootLeavesTheOwnersFilesInAHomeThatIsSomebodyElses(t *testing.T) {
	asRoot(t)
	b := newBench(t)
	home := filepath.Dir(b.path)
	if err := os.Chown(home, somebody, somebody); err != nil {
		t.Fatal(err)
	}
	b.path = filepath.Join(home, "a", "b", "notes.db")
	b.s = b.open(store.Config{})
	b.write(note("a"))
	b.leave()
	b.overwrite(bytes.Repeat([]byte{0xAB}, 8192))
	b.write(readAll)
	err := filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != somebody {
			t.Errorf("%s is root's: its owner cannot use it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhoMayNotUseAFileIsToldWhoseItIs(t *testing.T) {
	asRoot(t)
	for _, name := range []string{"notes.db", "notes.db.lock", "."} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if err := os.Chown(filepath.Dir(b.path), somebody, somebody); err != nil {
				t.Fatal(err)
			}
			b.path = filepath.Join(filepath.Dir(b.path), "home", "notes.db")
			b.s = b.open(store.Config{})
			b.write(note("a"))
			b.leave()
			home := filepath.Dir(b.path)
			for dir := home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, path := range append(b.beside(""), ".") {
				owner := somebody
				if path == name {
					owner = 0
				}
				if err := os.Chown(filepath.Join(home, path), owner, owner); err != nil {
					t.Fatal(err)
				}
			}
			said := asSomebody(b)
			for _, want := range []string{"belongs to root", "sudo chown -R " + fmt.Sprint(somebody) + " " + home} {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, want %q in it", said, want)
				}
			}
		})
	}
}

// The command would give root's files away, or name a directory that is not there.
func TestNobodyIsToldToTakeAHomeThatIsNotTheirs(t *testing.T) {
	asRoot(t)
	for name, prepare := range map[string]func(b *bench, home string) error{
		"a home that is root's, as under sudo -u": func(b *bench, home string) error {
			b.path = filepath.Join(home, ".notes", "notes.db")
			b.s = b.open(store.Config{})
			b.write(note("a"))
			b.leave()
			return nil
		},
		"a home that cannot be made": func(b *bench, home string) error {
			b.path = filepath.Join(home, "somebody", ".notes", "notes.db")
			return nil
		},
		"a home of somebody's that is root's, without files": func(b *bench, home string) error {
			b.path = filepath.Join(home, "somebody", ".notes", "notes.db")
			return os.Mkdir(filepath.Join(home, "somebody"), 0o755)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			home := filepath.Dir(b.path)
			if err := prepare(b, home); err != nil {
				t.Fatal(err)
			}
			for dir := home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if said := asSomebody(b); !strings.Contains(said, "you may not use "+home) || strings.Contains(said, "chown") {
				t.Errorf("it says %q, want which directory may not be used, and no command that would take it", said)
			}
		})
	}
}

// Looking at such a home is not enough: only who makes something in it learns that nothing can be made.
func TestTryingTellsOfAHomeInWhichNothingCanBeMade(t *testing.T) {
	for name, test := range map[string]struct {
		home func(b *bench) string
		want error
	}{
		"a directory that is a link that leads nowhere": {func(b *bench) string {
			home := b.TempDir()
			if err := os.Symlink("nowhere", filepath.Join(home, ".notes")); err != nil {
				b.Fatal(err)
			}
			return home
		}, store.ErrDangling},
		"a directory that is a link to itself": {func(b *bench) string {
			home := b.TempDir()
			if err := os.Symlink(".notes", filepath.Join(home, ".notes")); err != nil {
				b.Fatal(err)
			}
			return home
		}, store.ErrDangling},
		"no inode left": {func(b *bench) string {
			small(b, 1<<20, "nr_inodes=2")
			home := filepath.Dir(b.path)
			if err := os.WriteFile(filepath.Join(home, "filler"), nil, 0o600); err != nil {
				b.Fatal(err)
			}
			return home
		}, store.ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			home := test.home(b)
			b.path = filepath.Join(home, ".notes", "notes.db")
			err := b.open(store.Config{}).CheckWrite(context.Background())
			if !errors.Is(err, test.want) {
				t.Errorf("trying says %v, want %v", err, test.want)
			}
			var at *fs.PathError
			if errors.Is(test.want, store.ErrDangling) && (!errors.As(err, &at) || at.Path != filepath.Join(home, ".notes")) {
				t.Errorf("it says %v of %v, want the path of the link", err, at)
			}
			if _, err := os.Lstat(filepath.Join(home, ".notes.try")); err == nil {
				t.Error("trying has left its directory")
			}
			if err := b.open(store.Config{}).Write(context.Background(), note("a"), nil); !errors.Is(err, test.want) {
				t.Errorf("writing says %v, want what trying says: %v", err, test.want)
			}
		})
	}
}

func asSomebody(b *bench) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "test")
	if err := os.Link(os.Args[0], binary); err != nil {
		content, err := os.ReadFile(os.Args[0])
		if err == nil {
			syscall.ForkLock.RLock() // a child made meanwhile would hold the file open: "text file busy"
			err = os.WriteFile(binary, content, 0o755)
			syscall.ForkLock.RUnlock()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := os.Chmod(binary, 0o755); err != nil { // whatever the umask
		b.Fatal(err)
	}
	for dir := filepath.Dir(binary); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	cmd := exec.Command(binary)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childVariable+"="+b.path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	said, err := cmd.CombinedOutput()
	if err == nil {
		b.Error("somebody else could write")
	}
	return string(said)
}

// small mounts a disk of its own, of so many bytes.
func small(b *bench, size int, options ...string) {
	b.Helper()
	asRoot(b.T)
	dir := b.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, strings.Join(append(options, fmt.Sprintf("size=%d", size)), ",")); err != nil {
		b.Skipf("no mounting here: %v", err)
	}
	b.Cleanup(func() {
		b.s.Close()
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			b.Error(err)
		}
	})
	b.path = filepath.Join(dir, "notes.db")
	b.s = b.open(store.Config{})
}

// fillDisk leaves no room.
func fillDisk(b *bench) {
	b.Helper()
	f, err := os.Create(filepath.Join(filepath.Dir(b.path), "filler"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				b.Fatal(err)
			}
			return
		}
	}
}

func TestAFullDiskLosesWhatIsNewAndNothingElse(t *testing.T) {
	b := newBench(t)
	small(b, 1<<20)
	for i := range 20 {
		b.write(note(numbered(i)))
	}
	if err := b.s.EnsureRoom(context.Background()); err != nil {
		t.Errorf("with room left: %v", err)
	}
	fillDisk(b)
	if err := b.s.EnsureRoom(context.Background()); !errors.Is(err, store.ErrFull) {
		t.Errorf("asked for room it says %v, want ErrFull: what is left is for what waits", err)
	}
	if err := b.s.CheckWrite(context.Background()); !errors.Is(err, store.ErrFull) {
		t.Errorf("tried it says %v, want ErrFull", err)
	}
	other := b.open(store.Config{})
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		full = other.Write(context.Background(), note("new"+numbered(i)), nil)
	}
	if !errors.Is(full, store.ErrFull) {
		t.Errorf("writing to a full disk gives %v, want ErrFull", full)
	}
	if n := b.one(`SELECT count(*) FROM notes WHERE text LIKE '<%'`); n != "20" {
		t.Errorf("%s of 20 notes are left", n)
	}
	b.isSound()
}

// The next command finds the room that this one's WAL takes.
func TestTheWALIsMovedBeforeADiskCountsAsFull(t *testing.T) {
	b := newBench(t)
	small(b, 1<<20)
	b.write(note("a"))
	for i := 0; !b.s.IsAlmostFull(); i++ {
		b.write(func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO tags VALUES (?) ON CONFLICT DO NOTHING; UPDATE counter SET n = n + 1`, i%8)
			return err
		})
	}
	before := b.s.WALSize()
	if err := b.s.EnsureRoom(context.Background()); err != nil || b.s.WALSize() != 0 {
		t.Errorf("%v with a WAL of %d bytes, %d now; want it moved and room for more", err, before, b.s.WALSize())
	}
}

func TestADamagedDatabaseIsNotCarriedOverWithoutRoomForIt(t *testing.T) {
	b := newBench(t)
	small(b, 5<<19)
	b.fill(1000) // with its indexes, more than a third of it
	b.damage(500)
	for range 2 { // not each time after a second's work
		if err := b.s.Write(context.Background(), readAll, nil); !errors.Is(err, store.ErrFull) {
			t.Errorf("it says %v, want ErrFull", err)
		}
	}
	if err := syscall.Mount("tmpfs", filepath.Dir(b.path), "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	if n, _ := strconv.Atoi(b.one(`SELECT count(*) FROM notes`)); n < 980 {
		t.Errorf("%d of 1000 notes are there when there is room, want all but those of the damaged page", n)
	}
	b.isWhole()
}
