package identity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// checkPrivate has nothing to check: on Windows a file in the home directory
// inherits an access list that names its owner alone.
func checkPrivate(*testing.T, string) {}

// readMirror returns a usage.json that is open, as in the Python CLI.
func readMirror(t *testing.T) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "usage.json")
	put(t, path, string(Mirror{AnonID: someUUID}.Encode()))
	reader, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	return path, reader
}

func TestAFileThatIsBeingReadIsReplacedOrRemovedWhenItsReaderIsDone(t *testing.T) {
	path, reader := readMirror(t)
	time.AfterFunc(replacePatience/5, func() { reader.Close() })
	if _, err := WriteMirror(path, Mirror{AnonID: someUUID, PrincipalID: "ada"}); err != nil {
		t.Errorf("got %v; want the file replaced, its reader has gone", err)
	}
	if m, _, err := ReadMirror(path); err != nil || m.PrincipalID != "ada" {
		t.Errorf("the file says %+v, %v; want the new content", m, err)
	}
	path, another := readMirror(t)
	time.AfterFunc(replacePatience/5, func() { another.Close() })
	if err := Remove(path); err != nil {
		t.Errorf("got %v; want the file removed, its reader has gone", err)
	}
}

func TestAFileThatStaysOpenIsGivenUpAndNothingIsLeftBehind(t *testing.T) {
	path, _ := readMirror(t)
	start := time.Now()
	if _, err := WriteMirror(path, Mirror{AnonID: someUUID, PrincipalID: "ada"}); err == nil {
		t.Error("the file was replaced under its reader; want an error, the caller must know")
	}
	// Generous, for a busy machine.
	if waited := time.Since(start); waited > 20*replacePatience {
		t.Errorf("a command waited %v for a reader; want about %v", waited, replacePatience)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v; want usage.json alone", entries, err)
	}
}

// A directory that ARCADE_WORK_DIR names may be open to all users, and what is made in it inherits that.
func TestAFileIsPrivateInADirectoryThatOthersRead(t *testing.T) {
	directory := t.TempDir()
	everybody, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;WD)")
	must(t, err)
	access, _, err := everybody.DACL()
	if err == nil {
		err = windows.SetNamedSecurityInfo(directory, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION, nil, nil, access, nil)
	}
	must(t, err)
	path := filepath.Join(directory, "credentials.yaml")
	must(t, WriteAtomically(path, []byte("cloud: {}")))
	found, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil || strings.Contains(found.String(), ";WD)") {
		t.Errorf("the access list is %v, %v; want nothing for everybody", found, err)
	}
}
