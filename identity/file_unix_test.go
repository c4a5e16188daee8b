//go:build unix

package identity

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// checkPrivate checks that path is a file that only its owner can read.
func checkPrivate(t *testing.T, path string) {
	t.Helper()
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%s is %v, %v; want a file of mode 600", filepath.Base(path), info, err)
	}
}

// lead makes name lead to what is made elsewhere, and returns a check that that is as it was.
func lead(t *testing.T, name string, mk func(path string) error, link func(from, to string) error) (untouched func(after string)) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "target")
	if err := errors.Join(mk(target), link(target, name)); err != nil {
		t.Skip(err) // a folder has no hard links
	}
	before, err := os.Lstat(target)
	must(t, err)
	return func(after string) {
		t.Helper()
		if now, err := os.Lstat(target); err != nil || !os.SameFile(before, now) || now.Size() != before.Size() || now.Mode() != before.Mode() {
			t.Errorf("after %s what the name led to is %v, %v; want it untouched", after, now, err)
		}
	}
}

func TestNothingThatANameLeadsToIsTouched(t *testing.T) {
	links := map[string]func(from, to string) error{"link": os.Symlink, "hard link": os.Link}
	for what, mk := range map[string]func(path string) error{
		"a file":   func(path string) error { return os.WriteFile(path, []byte("cloud: mine"), 0o600) },
		"an empty": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) }, // a device would really be gone
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		for kind, link := range links {
			t.Run(kind+" to "+what, func(t *testing.T) {
				dir := t.TempDir()
				mirror, f := filepath.Join(dir, "usage.json"), CredentialsFile{Path: filepath.Join(dir, "credentials.yaml")}

				untouched := lead(t, mirror, mk, link)
				_, err := WriteMirror(mirror, Mirror{AnonID: someUUID})
				must(t, err)
				untouched("an export of usage.json")
				checkPrivate(t, mirror)

				untouched = lead(t, f.places(), mk, link)
				must(t, f.KeepPlaces(Places{}))
				untouched("a list of organizations")
				checkPrivate(t, f.places())

				must(t, os.Remove(f.places()))
				places := lead(t, f.places(), mk, link)
				credentials := lead(t, f.Path, mk, link)
				must(t, f.Remove())
				places("a logout")
				credentials("a logout")
				checkFiles(t, f.Path, "usage.json")
			})
		}
	}
}

func TestALockIsNotMadeWhereALinkLeadsTo(t *testing.T) {
	f, elsewhere := credentialsAt(t, ""), filepath.Join(t.TempDir(), "nologin")
	must(t, os.Symlink(elsewhere, filepath.Join(filepath.Dir(f.Path), "credentials.lock")))
	must(t, f.Write(t.Context(), oauthCredentials(time.Now())))
	if _, err := os.Lstat(elsewhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the login made %s: %v", elsewhere, err)
	}
}

// Root works for a user who must not get at root's files.
func TestALoginThroughALinkTouchesNoOtherUsersFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's files")
	}
	for name, whose := range map[string]func(home, target string) string{
		"root in another's home":    func(home, _ string) string { return home },
		"a link to another's login": func(_, target string) string { return target },
	} {
		t.Run(name, func(t *testing.T) {
			home, target := t.TempDir(), CredentialsFile{Path: filepath.Join(t.TempDir(), "credentials.yaml")}
			f := CredentialsFile{Path: filepath.Join(home, "credentials.yaml")}
			login := oauthCredentials(time.Now())
			must(t, target.Write(t.Context(), login), os.Symlink(target.Path, f.Path), os.Chown(whose(home, target.Path), 1000, 1000))
			before := contentOf(t, target.Path)
			other := login
			other.AccessToken = "other"
			must(t, f.Write(t.Context(), other))
			info, err := os.Lstat(f.Path)
			if err != nil || !info.Mode().IsRegular() || isOwn(info) != (whose(home, target.Path) != home) {
				t.Errorf("the login is %v, %v; want a file of the home's owner in the link's place", info, err)
			}
			must(t, os.Remove(f.Path), os.Symlink(target.Path, f.Path), f.Remove())
			if now := contentOf(t, target.Path); now != before {
				t.Errorf("what the link led to holds\n%s\nwant it untouched by a login and a logout", now)
			}
		})
	}
}

func TestALoginLeavesTheUsersOtherFilesThatALinkLeadsTo(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		mode    os.FileMode
		refused bool
	}{
		"a script that others may read":         {content: "export A=b\n", mode: 0o644, refused: true},
		"a script that others may write":        {content: "export A=b\n", mode: 0o664},
		"a private script":                      {content: "export A=b\n", mode: 0o600, refused: true},
		"a configuration that others may read":  {content: "db:\n  host: x\n", mode: 0o644},
		"a private configuration":               {content: "db:\n  host: x\n", mode: 0o600},
		"a configuration that others may write": {content: "db:\n  host: x\n", mode: 0o666},
	} {
		t.Run(name, func(t *testing.T) {
			other, f := filepath.Join(t.TempDir(), "other"), credentialsAt(t, "")
			put(t, other, test.content)
			must(t, os.Chmod(other, test.mode), os.Symlink(other, f.Path))
			if err := f.Write(t.Context(), Credentials{APIKey: "arc_x"}); (err != nil) != test.refused {
				t.Errorf("Write: %v, want an error: %t", err, test.refused)
			}
			if now, err := f.Read(); !test.refused && (err != nil || now.APIKey != "arc_x") {
				t.Errorf("the login is %s (%v), want the one that was written", show(now), err)
			}
			if err := f.Remove(); err != nil {
				t.Error(err)
			}
			if content := contentOf(t, other); content != test.content {
				t.Errorf("the file that the link led to holds %q, want it as it was", content)
			}
		})
	}
}

func TestANamedPipeDoesNotHoldACommandUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	// No process ever writes to it: a plain open would wait for ever.
	if _, _, err := ReadMirror(path); !errors.Is(err, errNotRegular) {
		t.Errorf("got %v; want an error that says what it is", err)
	}
	if _, err := (CredentialsFile{Path: path}).Read(); !errors.Is(err, errNotRegular) {
		t.Errorf("got %v; want an error that says what it is", err)
	}
}
