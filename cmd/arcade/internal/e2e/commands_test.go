package e2e

import (
	"strings"
	"testing"
)

// What a file or a server says is shown, and no terminal obeys it.
func TestForeignTextIsCleanedInEveryCommand(t *testing.T) {
	t.Parallel()
	m := untracked(t)
	m.Meet("ada")
	m.WriteCredentials("arc_ada")
	m.edit("  coordinator_url:", `  user: {email: "a\x1b]0;owned\a\x1b[2J\u202eda\nCloud: elsewhere"}`+"\n  coordinator_url:")
	for _, line := range []string{"whoami", "whoami --json", "login", "secret list --host a\x1b[31mb\u202e", "a\x1b[2Jb"} {
		r := m.Run(strings.Fields(line)...)
		if strings.ContainsAny(r.Stdout+r.Stderr, "\x1b\a\u202e") {
			t.Errorf("arcade %q lets through %q", line, r.Stdout+r.Stderr)
		}
	}
	if r := m.Must("whoami"); !strings.Contains(r.Stdout, "ada Cloud: elsewhere\n") {
		t.Errorf("whoami says %q, want the e-mail in one line", r.Stdout)
	}
}
