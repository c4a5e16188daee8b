package identity

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
)

// oauthCredentials are those of Ada, good for an hour.
func oauthCredentials(now time.Time) Credentials {
	c := Credentials{Email: "ada@arcade.test", CoordinatorURL: "https://cloud.example",
		Context: Context{"org_1", "Analytical", "proj_1", "Engine"}}
	return Tokens{Access: "access_1", Refresh: "refresh_1", Life: time.Hour}.Into(c, now)
}

// credentialsAt returns a file in a directory of its own, with this content.
func credentialsAt(t *testing.T, content string) CredentialsFile {
	t.Helper()
	f := CredentialsFile{Path: filepath.Join(t.TempDir(), "credentials.yaml")}
	if content != "" {
		put(t, f.Path, content)
	}
	return f
}

// must ends the test at an error of what it only builds on.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func TestALoginIsWrittenAsPythonWritesIt(t *testing.T) {
	for want, login := range map[string]Credentials{
		`cloud:
  api:
    key: arc_1
    version: v1
  coordinator_url: http://localhost:8000
  user:
    email: a@b.c
`: {APIKey: "arc_1", Email: "a@b.c", CoordinatorURL: "http://localhost:8000"},
		`cloud:
  auth:
    access_token: access_1
    expires_at: '2026-11-25T13:00:01.787976'
    refresh_token: refresh_1
  context:
    org_id: org_1
    org_name: Analytical
    project_id: proj_1
    project_name: Engine
  coordinator_url: https://cloud.example
  user:
    email: ada@arcade.test
`: oauthCredentials(time.Date(2026, 11, 25, 12, 0, 1, 787976123, time.Local)),
	} {
		f := CredentialsFile{Path: filepath.Join(t.TempDir(), "home", "arcade", "credentials.yaml")}
		must(t, f.MakeRoom(), f.Write(t.Context(), login))
		if got := contentOf(t, f.Path); got != want {
			t.Errorf("the file is\n%s\nwant the Python CLI's:\n%s", got, want)
		}
		if got, err := f.Read(); err != nil || got != login {
			t.Errorf("read back %s, %v; want %s", show(got), err, show(login))
		}
		checkPrivate(t, f.Path)
		checkFiles(t, f.Path, "credentials.lock", "credentials.yaml")
	}
}

func TestWhatIsInTheWayOfTheDirectoryIsNamed(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	put(t, home, "")
	var inTheWay *fs.PathError
	err := CredentialsFile{Path: filepath.Join(home, "arcade", "credentials.yaml")}.MakeRoom()
	if !errors.As(err, &inTheWay) || inTheWay.Path != home {
		t.Errorf("got %v; want an error about the file %s", err, home)
	}
}

func TestALoginThatDoesNotGetToItsPlaceIsAnError(t *testing.T) {
	f := credentialsAt(t, "")
	f.Point = func(point string) {
		if point == "filled" { // and something is in the way now
			_ = os.Mkdir(f.Path, 0o700)
		}
	}
	if err := f.Write(t.Context(), oauthCredentials(time.Now())); err == nil {
		t.Error("got no error; want one, the user would believe to be logged in")
	}
	checkFiles(t, f.Path, "credentials.lock", "credentials.yaml")
}

func TestALinkedFileStaysALink(t *testing.T) {
	f, target := credentialsAt(t, ""), filepath.Join(t.TempDir(), "arcade.yaml")
	relative, err := filepath.Rel(filepath.Dir(f.Path), target)
	must(t, err)
	if err := os.Symlink(relative, f.Path); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	login := oauthCredentials(time.Now())
	for _, what := range []string{"a login into nothing", "a login over another", "a login into an empty file"} {
		if what == "a login into an empty file" {
			must(t, os.Truncate(target, 0))
		}
		must(t, f.Write(t.Context(), login))
		if to, err := os.Readlink(f.Path); err != nil || to != relative {
			t.Errorf("%s: the link is %q, %v; want it left to the program that manages it", what, to, err)
		}
		if got, err := (CredentialsFile{Path: target}).Read(); err != nil || got != login {
			t.Errorf("%s: its target holds %s, %v; want the login", what, show(got), err)
		}
	}
	checkFiles(t, target, "arcade.yaml")
	must(t, f.Remove())
	checkFiles(t, target)
	if _, err := f.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nothing reads as %v; want fs.ErrNotExist", err)
	}
}

// The Python CLI truncates the file, writes it, and makes it private last.
func TestAFileThatIsJustBeingWrittenIsReadAgain(t *testing.T) {
	for name, begun := range map[string]struct {
		content string
		mode    fs.FileMode
	}{
		"half": {"cloud:\n  auth:\n    access_token: tok_SENT", 0o600}, "readable": {oauthFile, 0o644},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := credentialsAt(t, begun.content)
			must(t, os.Chmod(f.Path, begun.mode))
			touch(t, f.Path)
			go func() {
				time.Sleep(2*lockPause + time.Millisecond) // between two looks
				_ = os.WriteFile(f.Path, []byte(oauthFile), 0o600)
				_ = os.Chmod(f.Path, 0o600)
			}()
			if got, err := f.Read(); err != nil || got.AccessToken != "tok_SENTINEL" || got.RefreshToken != "ref_SENTINEL" {
				t.Errorf("%s: got %s, %v; want the whole file", name, show(got), err)
			}
		})
	}
}

// setMode gives a file a mode, long enough ago that it is not taken for one that is being written.
func setMode(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	must(t, os.Chmod(path, mode), os.Chtimes(path, old, old))
}

// touch gives a file the time of the test's own clock.
func touch(t *testing.T, path string) {
	t.Helper()
	must(t, os.Chtimes(path, time.Now(), time.Now()))
}

func TestAFileThatHasLongBeenHalfIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := credentialsAt(t, "cloud: {")
		touch(t, f.Path)
		time.Sleep(time.Hour)
		start := time.Now()
		_, err := f.Read()
		if took := time.Since(start); took > 0 || !errors.Is(err, ErrCredentialsInvalid) || errors.Is(err, ErrCredentialsNewer) {
			t.Errorf("got %v after %v; want ErrCredentialsInvalid at once, the file is not being written", err, took)
		}
	})
}

func TestTheProjectIsChangedAlone(t *testing.T) {
	f := credentialsAt(t, oauthFile)
	login, err := f.Read()
	must(t, err)
	// The Python CLI renews meanwhile.
	put(t, f.Path, strings.ReplaceAll(oauthFile, "tok_SENTINEL", "tok_2"))
	want := login
	want.Context, want.AccessToken = Context{"org_2", "Zwei", "proj_2", "Prüfung"}, "tok_2"
	must(t, f.SetContext(t.Context(), login, want.Context))
	if got, err := f.Read(); err != nil || got != want {
		t.Errorf("got %s, %v; want the other project and the tokens as they are", show(got), err)
	}
	put(t, f.Path, strings.ReplaceAll(contentOf(t, f.Path), "a@b.c", "bob@b.c"))
	if err := f.SetContext(t.Context(), login, Context{}); !errors.Is(err, ErrLoginChanged) {
		t.Errorf("got %v; want ErrLoginChanged, the project is another user's", err)
	}
	if _, err := f.Forget(t.Context(), login); !errors.Is(err, ErrLoginChanged) {
		t.Errorf("a logout gave %v; want ErrLoginChanged, the login is another user's", err)
	}
	if err := f.Activate(t.Context(), "nowhere"); !errors.As(err, new(*UnknownContextError)) {
		t.Errorf("an unknown context gave %v; want an UnknownContextError", err)
	}
}

func TestPlacesAreThoseOfOneLogin(t *testing.T) {
	f := credentialsAt(t, oauthFile)
	ada := oauthCredentials(time.Now())
	bob := ada
	bob.Email = "bob@arcade.test"
	want := Places{Login: ada.Fingerprint(), Organisations: []Choice{{"org_0", "", false}, {"org_1", "Analytical", true}},
		Projects: map[string][]Choice{"org_1": {{"proj_1", "Engine", false}, {"proj_2", "", false}}}}
	must(t, f.KeepPlaces(want))
	got := f.Places(ada)
	if !reflect.DeepEqual(got, want) || !got.Default(ada.Context) || got.Default(Context{OrgID: "org_1", ProjectID: "proj_2"}) {
		t.Errorf("got %+v; want %+v, in which proj_1 is the default", got, want)
	}
	if got := f.Places(bob); got.Login != "" || got.Default(bob.Context) || got.Default(Context{}) {
		t.Errorf("another login is told %+v", got)
	}
	put(t, f.places(), `{"Login": 5`)
	if got := f.Places(ada); got.Login != "" {
		t.Errorf("a damaged file says %+v", got)
	}
	must(t, f.Remove())
	checkFiles(t, f.Path)
}

// holdLock holds the lock of f, as another process would.
func holdLock(t *testing.T, f CredentialsFile) (release func()) {
	t.Helper()
	holder := flock.New(strings.TrimSuffix(f.Path, ".yaml") + ".lock")
	if ok, err := holder.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return func() { must(t, holder.Unlock()) }
}

func TestTheLockIsWaitedForAsLongAsTheContextLasts(t *testing.T) {
	f := credentialsAt(t, oauthFile)
	release := holdLock(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Write(ctx, oauthCredentials(time.Now())) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want the interrupt to end the wait", err)
	}
	if contentOf(t, f.Path) != oauthFile {
		t.Error("the file was written without the lock")
	}
	release()
	if err := f.Write(t.Context(), oauthCredentials(time.Now())); err != nil {
		t.Errorf("once the lock is free: %v", err)
	}
}
