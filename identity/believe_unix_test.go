//go:build unix

package identity

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestALoginFileIsBelievedWhenItIsMineAlone(t *testing.T) {
	for mode, want := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true, 0o640: false, 0o604: false, 0o660: false, 0o606: false, 0o644: false, 0o666: false,
	} {
		f := credentialsAt(t, oauthFile)
		setMode(t, f.Path, mode)
		got, err := f.Read()
		var unbelieved *UnbelievedError
		if refused := errors.As(err, &unbelieved); refused == want || got.Present() != want {
			t.Errorf("mode %o: got %s, %v; want it believed: %v", mode, show(got), err, want)
		}
		if !want && (!unbelieved.Chmod || unbelieved.Path != f.Path || strings.Contains(err.Error(), "SENTINEL")) {
			t.Errorf("mode %o: %+v; want advice to run chmod", mode, unbelieved)
		}
		err = f.Write(t.Context(), oauthCredentials(time.Now()))
		if theirs := mode&0o022 != 0; (err != nil) != theirs || (contentOf(t, f.Path) == oauthFile) != theirs {
			t.Errorf("mode %o: a login gave %v; want the file refused and as it was if others could have written it: %v", mode, err, theirs)
		}
	}
}

func TestAnotherUsersFileIsNotBelieved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	const other, ada = 65534, 1000
	f := credentialsAt(t, oauthFile)
	setMode(t, f.Path, 0o600)
	chown := func(path string, to int) { must(t, os.Lchown(path, to, to)) }
	chown(f.Path, other)
	var unbelieved *UnbelievedError
	if got, err := f.Read(); !errors.As(err, &unbelieved) || unbelieved.Chmod || unbelieved.Own || got.Present() {
		t.Errorf("got %s, %v; want another user's file refused, and no advice to run chmod", show(got), err)
	}
	chown(filepath.Dir(f.Path), ada) // as root in Ada's home
	if _, err := f.Read(); !errors.As(err, &unbelieved) {
		t.Errorf("got %v; want the file of a third one refused", err)
	}
	chown(f.Path, ada)
	if got, err := f.Read(); err != nil || !got.Present() {
		t.Errorf("got %s, %v; want Ada's own login", show(got), err)
	}
	target := filepath.Join(t.TempDir(), "elsewhere.yaml")
	put(t, target, oauthFile)
	chown(target, ada)
	must(t, os.Remove(f.Path), os.Symlink(target, f.Path))
	if _, err := f.Read(); !errors.As(err, &unbelieved) {
		t.Errorf("got %v; want no link followed as root in Ada's home", err)
	}
}

func TestTheLoginInAWorkDirectory(t *testing.T) {
	for name, c := range map[string]struct {
		shared, own fs.FileMode // 0: there is none
		want        string      // whose login is read, "" for an error
	}{
		"of Python alone":                         {0o600, 0, "shared"},
		"of both":                                 {0o600, 0o600, "shared"},
		"of ours alone":                           {0, 0o600, "own"},
		"of Python, which others could write":     {0o666, 0o600, "own"},
		"of Python alone, which others can write": {0o666, 0, ""},
		"of neither":                              {0, 0, ""},
		"of ours, which others could write":       {0, 0o666, ""},
	} {
		work := t.TempDir()
		places := map[string]string{"shared": filepath.Join(work, "credentials.yaml"), "own": filepath.Join(work, ".arcade", "credentials.yaml")}
		must(t, os.Mkdir(filepath.Dir(places["own"]), 0o700))
		f := CredentialsFile{Path: places["own"], Shared: places["shared"], Named: true}
		for place, mode := range map[string]fs.FileMode{"shared": c.shared, "own": c.own} {
			if mode != 0 {
				put(t, places[place], strings.ReplaceAll(oauthFile, "tok_SENTINEL", place))
				setMode(t, places[place], mode)
			}
		}
		got, err := f.Read()
		if got.AccessToken != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %s, %v; want the login of %q", name, show(got), err, c.want)
		}
		if c.want == "" {
			if c.shared+c.own != 0 && !errors.As(err, new(*UnbelievedError)) {
				t.Errorf("%s: got %v; want to be told why the file is not used", name, err)
			}
			continue
		}
		must(t, f.SetContext(t.Context(), got, Context{ProjectID: "changed"}))
		if !strings.Contains(contentOf(t, places[c.want]), "changed") {
			t.Errorf("%s: the change is not where the login is, in %s", name, places[c.want])
		}
	}
}
