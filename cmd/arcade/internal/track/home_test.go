package track

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"
)

func TestFilesAreWhereThePythonCLIKeepsThem(t *testing.T) {
	user, elsewhere := t.TempDir(), t.TempDir()
	foreign := "USERPROFILE"
	if runtime.GOOS == "windows" {
		foreign = "HOME"
	}
	const work = "ARCADE_WORK_DIR"
	below := filepath.Join(user, "work")
	tests := map[string]struct {
		env  map[string]string
		want string // the directory that .arcade is in, "" for an error
	}{
		"in the home directory":                        {map[string]string{HomeVariable: user}, user},
		"not where another system keeps its homes":     {map[string]string{HomeVariable: user, foreign: elsewhere}, user},
		"in ARCADE_WORK_DIR, if it is set":             {map[string]string{HomeVariable: user, work: elsewhere}, elsewhere},
		"in ARCADE_WORK_DIR, if there is no home":      {map[string]string{work: elsewhere}, elsewhere},
		"in ARCADE_WORK_DIR with a tilde":              {map[string]string{HomeVariable: user, work: "~"}, user},
		"in ARCADE_WORK_DIR below a tilde":             {map[string]string{HomeVariable: user, work: "~/work"}, below},
		"in ARCADE_WORK_DIR with the system's tilde":   {map[string]string{HomeVariable: user, work: filepath.FromSlash("~/work")}, below},
		"nowhere without a home":                       {map[string]string{}, ""},
		"nowhere with a tilde that stands for no home": {map[string]string{work: "~/work"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tracker := &Tracker{Env: func(name string) string { return test.env[name] }}
			got, err := tracker.Home()
			if test.want == "" {
				if !errors.Is(err, ErrNoHome) {
					t.Errorf("got %v, %v; want the error that tells to set HOME", got, err)
				}
				return
			}
			if want := filepath.Join(test.want, ".arcade"); got.dir != want || err != nil {
				t.Errorf("got %v, %v; want %q", got, err, want)
			}
		})
	}
}
