package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// The Python CLI keeps its login in the directory that ARCADE_WORK_DIR names, and this one in .arcade below it.
func TestBothCLIsSeeOneLoginInAWorkDirectory(t *testing.T) {
	t.Parallel()
	for first, begin := range map[string]func(m *machine, login, work string){
		"the Python CLI": func(m *machine, login, work string) {
			m.writeAt(filepath.Join(work, "credentials.yaml"), login)
			m.Must("whoami")
			if _, err := os.Stat(filepath.Join(work, ".arcade")); err == nil {
				m.Error("there is a second directory; want the Python CLI's used")
			}
		},
		"this one": func(m *machine, login, work string) {
			m.Must("succeed") // makes its directory
			m.writeAt(filepath.Join(work, ".arcade", "credentials.yaml"), strings.Replace(login, "ada@example.com", "before@example.com", 1))
			if r := m.Must("whoami", "--offline"); !strings.Contains(r.Stdout, "before@example.com") {
				m.Errorf("whoami says %q; want our own login while there is no other", r.Stdout)
			}
			m.writeAt(filepath.Join(work, "credentials.yaml"), login)
		},
	} {
		t.Run(first+" was first", func(t *testing.T) {
			t.Parallel()
			m, cloud := loggedIn(t)
			login, work := m.ReadFile("credentials.yaml"), t.TempDir()
			m.Env = append(m.Env, "ARCADE_WORK_DIR="+work)
			begin(m, login, work)
			shared := filepath.Join(work, "credentials.yaml")
			if r := m.Must("whoami"); !strings.Contains(r.Stdout, "ada@example.com") {
				t.Errorf("whoami says %q; want the Python CLI's login", r.Stdout)
			}
			m.Must("project", "set", "proj_2")
			if content := m.readAt(shared); !strings.Contains(content, "project_id: proj_2") {
				t.Errorf("the Python CLI reads\n%s\nwant the project that was set", content)
			}
			m.Must("logout")
			for _, gone := range []string{shared, filepath.Join(work, ".arcade", "credentials.yaml")} {
				if _, err := os.Stat(gone); err == nil {
					t.Errorf("after the logout there is %s; want no login for either CLI", gone)
				}
			}
			m.Must(append([]string{"login"}, testbed.At(cloud)...)...)
			if r := m.Must("whoami"); !strings.Contains(r.Stdout, "ada@example.com") {
				t.Errorf("after a new login whoami says %q", r.Stdout)
			}
		})
	}
}

func (m *machine) writeAt(path, content string) {
	m.Helper()
	m.Require(os.WriteFile(path, []byte(content), 0o600))
}

func (m *machine) readAt(path string) string {
	m.Helper()
	content, err := os.ReadFile(path)
	m.Require(err)
	return string(content)
}
