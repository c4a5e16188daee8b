package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

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
	b := newBench(t, "a", "b")
	home := filepath.Dir(filepath.Dir(filepath.Dir(b.path)))
	b.must(os.Chown(home, somebody, somebody))
	b.write(note("a"))
	b.leave()
	b.overwrite(garbage(8192))
	b.write(readAll)
	b.must(filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != somebody {
			t.Errorf("%s is root's: its owner cannot use it", path)
		}
		return err
	}))
}

// The command must neither give root's files away nor name a directory that is missing.
func TestAUserIsToldWhatMayNotBeUsedAndHowToTakeBackWhatIsTheirs(t *testing.T) {
	asRoot(t)
	recorded := func(b *bench) error { return errors.Join(write(b.s, note("a")), b.s.Close()) }
	taken := func(name string) func(b *bench) error { // by root, in a home of somebody's
		return func(b *bench) error {
			dir := filepath.Dir(b.path)
			err := os.Chown(filepath.Dir(dir), somebody, somebody)
			return errors.Join(err, recorded(b), os.Lchown(filepath.Join(dir, name), 0, 0))
		}
	}
	for name, test := range map[string]struct {
		dir      string
		prepare  func(b *bench) error
		isTheirs bool
	}{
		"the database":  {"notes", taken("notes.db"), true},
		"the lock":      {"notes", taken("notes.db.lock"), true},
		"the directory": {"notes", taken("."), true},
		"a home that is root's, as under sudo -u": {"notes", recorded, false},
		"a home that cannot be made":              {"somebody/notes", func(*bench) error { return nil }, false},
		"a home of somebody's that is root's, without files": {"somebody/notes", func(b *bench) error {
			return os.Mkdir(filepath.Dir(filepath.Dir(b.path)), 0o755)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, test.dir)
			b.must(test.prepare(b))
			dir := filepath.Dir(b.path)
			want := "you may not use " + filepath.Clean(strings.TrimSuffix(dir, test.dir))
			if test.isTheirs {
				want = fmt.Sprintf("belongs to root: run 'sudo chown -R %d %s'", somebody, dir)
			}
			if said := b.asSomebody(); !strings.Contains(said, want) || strings.Contains(said, "chown") != test.isTheirs {
				t.Errorf("it says %q, want %q in it, and a command only where it takes back what is theirs", said, want)
			}
		})
	}
}

// asSomebody runs a process of another user that cannot write, and returns what it says.
func (b *bench) asSomebody() string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "test")
	// This process must not write it: a child made meanwhile would hold the file open, "text file busy".
	b.must(exec.Command("install", "-m", "755", os.Args[0], binary).Run()) // whatever the umask
	for _, path := range []string{binary, b.path} {                        // the other user may look into the directories above them
		for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o755)
		}
	}
	cmd := exec.Command(binary)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	return fmt.Sprint(b.run(cmd))
}

func TestNoInodeIsAFullDiskUnlessTheDatabaseHasAllItsFiles(t *testing.T) {
	b := newBenchOnDisk(t, "size=4m,nr_inodes=20")
	filler := filepath.Join(filepath.Dir(b.path), "filler")
	for _, want := range []error{store.ErrFull, nil} {
		b.must(os.Mkdir(filler, 0o700))
		for n := 0; os.WriteFile(filepath.Join(filler, strconv.Itoa(n)), nil, 0o600) == nil; n++ {
		}
		b.meets(b.s.CheckWrite(t.Context()), want, "trying, where only a new file shows it,")
		b.meets(write(b.s, note("a")), want, "writing")
		b.must(os.RemoveAll(filler))
		b.write(readAll)
	}
}

// Where too few descriptors are left, Go ends the process. A daemon may have hundreds of connections.
func TestOnlyAProcessWithTooFewDescriptorsIsRefused(t *testing.T) {
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err != nil || most.Max < 700 {
		t.Skipf("a process may open %d files only", most.Max)
	}
	for limit, test := range map[string]struct {
		open int
		want string
	}{
		"11":  {0, store.ErrDescriptors.Error()},
		"64":  {0, "<nil>"},
		"700": {500, "<nil>"},
	} {
		b := newBench(t)
		null, err := os.Open(os.DevNull)
		b.must(err)
		defer null.Close()
		cmd := exec.Command("sh", "-c", "ulimit -n "+limit+` && exec "$0"`, os.Args[0])
		cmd.ExtraFiles = slices.Repeat([]*os.File{null}, test.open)
		if said := fmt.Sprint(b.run(cmd)); !strings.Contains(said, test.want) {
			t.Errorf("with %s descriptors, %d of which are used, it says %q, want %q", limit, test.open, said, test.want)
		}
	}
}

// SQLite does not wait for such a process as for others: it gives up after ten seconds with an error of its own. What needs no
// database, such as the switch, does not wait.
func TestAProcessThatIsStoppedWhileItMakesTheSharedMemoryIsToldAsALock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.fill(1)
	b.must(os.WriteFile(b.path+"-wal", nil, 0o600))
	shm, err := os.Create(b.path + "-shm")
	b.must(err)
	defer shm.Close()
	// The byte that is locked meanwhile, https://www.sqlite.org/walformat.html#the_wal_index_file_format. The lock is the open file's:
	// one of this process would let its own SQLite pass.
	b.must(unix.FcntlFlock(shm.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 128, Len: 1}))
	b.must(b.s.Locked(context.Background(), func() error { return nil }))
	b.meets(write(b.s, note("b")), store.ErrLocked, "writing meanwhile")
	b.must(b.isNoted())
}

func TestAFileSystemThatTakesNoFilesIsOneThatMayNotBeUsed(t *testing.T) {
	b := newBench(t)
	b.path = "/proc/.notes/notes.db"
	tried, written := b.open(store.Config{}).CheckWrite(context.Background()), write(b.open(store.Config{}), note("a"))
	for what, err := range map[string]error{"trying": tried, "writing": written} {
		denied, _ := errors.AsType[*store.PermissionError](err)
		if cause := store.Cause(err); cause != store.ErrPermission || denied == nil || denied.Path != "/proc" {
			t.Errorf("%s says %v, and that the cause is %v; want that /proc may not be used", what, err, cause)
		}
	}
}

// newBenchOnDisk has its database on a disk of its own.
func newBenchOnDisk(t *testing.T, options string) *bench {
	t.Helper()
	asRoot(t)
	b := newBench(t)
	dir := filepath.Dir(b.path)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("no mounting here: %v", err)
	}
	b.Cleanup(func() {
		b.s.Close()
		b.must(syscall.Unmount(dir, syscall.MNT_DETACH))
	})
	return b
}

// fillDisk leaves so many bytes of room.
func (b *bench) fillDisk(room int64) {
	b.Helper()
	var disk syscall.Statfs_t
	b.must(syscall.Statfs(filepath.Dir(b.path), &disk))
	size := int64(disk.Bavail)*int64(disk.Bsize) - room
	b.must(os.WriteFile(filepath.Join(filepath.Dir(b.path), "filler"), make([]byte, size), 0o600))
}

func TestAFullDiskLosesWhatIsNewAndNothingElse(t *testing.T) {
	b := newBenchOnDisk(t, "size=1m")
	for i := range 20 {
		b.write(note(numbered(i)))
	}
	b.must(b.s.EnsureRoom(context.Background()))
	b.fillDisk(0)
	b.meets(b.s.EnsureRoom(t.Context()), store.ErrFull, "asking for room, where what is left is for what waits,")
	b.meets(b.s.CheckWrite(t.Context()), store.ErrFull, "trying")
	other := b.open(store.Config{})
	var full error
	for i := 0; full == nil && i < 1000; i++ {
		full = write(other, note("new"+numbered(i)))
	}
	b.meets(full, store.ErrFull, "writing to a full disk")
	b.want(`SELECT count(*) FROM notes WHERE text LIKE '<%'`, "20")
	b.isWhole()
}

// The next command finds the room that this one's WAL takes.
func TestTheWALIsMovedBeforeADiskCountsAsFull(t *testing.T) {
	b := newBenchOnDisk(t, "size=1m")
	b.write(note("a"))
	for i := 0; !b.s.IsAlmostFull(); i++ {
		b.write(do(`INSERT INTO tags VALUES (?) ON CONFLICT DO NOTHING; UPDATE counter SET n = n + 1`, i%8))
	}
	before := b.s.WALSize()
	if err := b.s.EnsureRoom(context.Background()); err != nil || b.s.WALSize() != 0 {
		t.Errorf("%v with a WAL of %d bytes, %d now; want it moved and room for more", err, before, b.s.WALSize())
	}
}

// Pages move through the WAL, which needs room itself.
func TestPagesAreGivenBackAlsoToADiskThatIsAlmostFull(t *testing.T) {
	b := newBenchOnDisk(t, "size=1m")
	b.fill(300)
	b.write(do(`DELETE FROM notes WHERE seq <= 150`)) // the pages of the others move
	b.leave()
	grown := len(b.content())
	b.fillDisk(96 << 10)
	b.shrink()
	if now := len(b.content()); now >= grown {
		t.Errorf("the database has %d bytes, and %d before", now, grown)
	}
}

func TestADamagedDatabaseIsNotCarriedOverWithoutRoomForIt(t *testing.T) {
	b := newBenchOnDisk(t, "size=2560k")
	b.fill(1000) // with its indexes, more than a third of it
	b.damage(500)
	for range 2 { // not each time after a second's work
		b.meets(write(b.s, readAll), store.ErrFull, "carrying over")
	}
	b.must(syscall.Mount("tmpfs", filepath.Dir(b.path), "tmpfs", syscall.MS_REMOUNT, "size=8m"))
	if n := b.count(); n < 980 {
		t.Errorf("%d of 1000 notes are there when there is room, want all but those of the damaged page", n)
	}
	b.isWhole()
}
