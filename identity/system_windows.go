package identity

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// openNonBlocking is not needed: named pipes are not files on Windows.
const openNonBlocking = 0

// openNoFollow is not needed: only a privileged user makes links.
const openNoFollow = 0

// isOwn is true: the files of a user's profile are the user's.
func isOwn(os.FileInfo) bool { return true }

// mayFollow is true for the same reason.
func mayFollow(string) bool { return true }

// isPortTaken reports that another program listens there: an exclusive listener shows
// as a lack of permission.
func isPortTaken(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}

// replacePatience is how long to wait for a file's readers: they hold it for a
// millisecond, virus scanners for some more.
const replacePatience = 100 * time.Millisecond

// replace renames from to to, which may exist.
func replace(from, to string) error {
	return oncePossible(func() error { return os.Rename(from, to) })
}

// Remove is os.Remove. On Windows it waits a moment for a program that has the file
// open, such as a virus scanner.
func Remove(path string) error {
	return oncePossible(func() error { return os.Remove(path) })
}

// oncePossible repeats what Windows refuses while another program has the file open.
func oncePossible(do func() error) error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		err := do()
		inUse := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !inUse || time.Since(start) > replacePatience {
			return err
		}
	}
}

// giveToOwnerOf restricts path to this user, the owner of directory, the system and the
// administrators, as in a profile: elsewhere other users inherit the right to read.
func giveToOwnerOf(directory, path string) error {
	token, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	inheritance := ""
	if info.IsDir() {
		inheritance = "OICI" // for files and directories below it
	}
	list := "D:P"
	trustees := []string{"SY", "BA", token.User.Sid.String()}
	if above, err := windows.GetNamedSecurityInfo(directory, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION); err == nil {
		if owner, _, err := above.Owner(); err == nil {
			trustees = append(trustees, owner.String())
		}
	}
	for _, trustee := range trustees {
		list += "(A;" + inheritance + ";FA;;;" + trustee + ")"
	}
	descriptor, err := windows.SecurityDescriptorFromString(list)
	if err != nil {
		return err
	}
	access, _, err := descriptor.DACL()
	if err != nil {
		return err
	}
	// A file system or a server that refuses this keeps what is inherited: better than no login.
	_ = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, access, nil)
	return nil
}

// syncFile writes what f has to the disk.
func syncFile(f *os.File) error { return f.Sync() }

// isMine reports whether a file belongs to the user, to the system, or to the
// administrators, who own what one of them makes. The access list that it inherits from
// the profile decides who can read it.
func isMine(file *os.File, _ os.FileInfo, _ string) (mine, private bool) {
	descriptor, err := windows.GetSecurityInfo(windows.Handle(file.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return false, true
	}
	owner, _, err := descriptor.Owner()
	if err != nil {
		return false, true
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	mine = err == nil && owner.Equals(user.User.Sid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid)
	return mine || owner.IsWellKnown(windows.WinLocalSystemSid), true
}

// sameOwner is never called: modes do not matter here.
func sameOwner(_, _ os.FileInfo) bool { return false }

func isWritable(string) bool { return false }
