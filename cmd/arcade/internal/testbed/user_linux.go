package testbed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Nobody is a user without any rights. Root, who may run the tests, ignores modes.
const Nobody = 65534

// HandOver gives the home to Nobody, and runs all later commands as that user. Only root can do that.
func (m *Machine) HandOver() {
	m.Helper()
	if os.Geteuid() != 0 {
		m.Skip("only root can give files away, and become another user")
	}
	m.Install()
	m.Require(filepath.WalkDir(m.Home, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, Nobody, Nobody))
	}))
	for _, path := range []string{m.Home, filepath.Dir(m.Program)} {
		for ; len(path) > len(os.TempDir()); path = filepath.Dir(path) {
			m.Require(os.Chmod(path, 0o755))
		}
	}
	m.User = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: Nobody, Gid: Nobody}}
	if err := m.Command("--version").Run(); errors.Is(err, fs.ErrPermission) {
		m.Skip("the directory of temporary files is closed to nobody: ", err)
	}
}
