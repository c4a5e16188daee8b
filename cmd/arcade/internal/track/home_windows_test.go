package track

import "testing"

func TestWindowsHasThreePlacesForTheHomeDirectory(t *testing.T) {
	profile := [2]string{"USERPROFILE", `C:\Users\ada`}
	drive, path := [2]string{"HOMEDRIVE", "D:"}, [2]string{"HOMEPATH", `\home\ada`}
	shell := [2]string{"HOME", `E:\git\ada`}
	tests := map[string]struct {
		env  [][2]string
		want string
	}{
		"the profile comes first":                           {[][2]string{profile, drive, path, shell}, profile[1]},
		"without a profile it is a path on a drive":         {[][2]string{drive, path, shell}, `D:\home\ada`},
		"a path without its drive is on the current one":    {[][2]string{path, shell}, path[1]},
		"a drive alone is no home":                          {[][2]string{drive, shell}, shell[1]},
		"a shell's variable counts when Windows has no own": {[][2]string{shell}, shell[1]},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{}
			for _, variable := range test.env {
				variables[variable[0]] = variable[1]
			}
			if got := userHome(func(name string) string { return variables[name] }); got != test.want {
				t.Errorf("the home is %q, want %q", got, test.want)
			}
		})
	}
}

func TestQuotesAroundTheWorkDirectoryAreNotPartOfItsName(t *testing.T) {
	tracker := New("", "")
	tracker.Env = func(name string) string { return map[string]string{"ARCADE_WORK_DIR": `"C:\two words"`}[name] }
	if home, err := tracker.Home(); err != nil || home.dir != `C:\two words\.arcade` {
		t.Errorf("%q, %v; want the directory without the quotes that `set NAME=\"...\"` leaves", home.dir, err)
	}
}
