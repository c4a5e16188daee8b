//go:build unix

package e2e

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// The Python CLI writes what its clock on the wall will show in an hour, and compares that with what it
// shows then, whatever the zone did between. Both programs have to say the same of one file.
func TestTheExpiryIsReckonedOnTheWallAsPythonDoes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone, login string        // where and, in UTC, when somebody logs in for an hour
		expires     string        // by the wall
		good, over  time.Duration // after the login: the last minutes of the token, and its end
	}{
		{"Asia/Kolkata", "2026-07-01T20:00:00Z", "2026-07-02T02:30", 54 * time.Minute, 56 * time.Minute},
		{"America/St_Johns", "2026-07-01T20:00:00Z", "2026-07-01T18:30", 54 * time.Minute, 56 * time.Minute},
		// At 03:00 it is 02:00 once more: an hour of more than an hour.
		{"Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T03:30", 114 * time.Minute, 116 * time.Minute},
		{"Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T03:30", 54 * time.Minute, 56 * time.Minute},
		// At 02:00 it is 03:00: the time that is written never comes.
		{"Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T02:30", 29 * time.Minute, 31 * time.Minute},
	} {
		t.Run(test.zone+" at "+test.login, func(t *testing.T) {
			if _, err := time.LoadLocation(test.zone); err != nil {
				t.Skip("this system knows no zones: ", err)
			}
			m := newMachine(t)
			cloud := m.OAuth(testbed.Ada())
			login, err := time.Parse(time.RFC3339, test.login)
			if err != nil {
				t.Fatal(err)
			}
			m.Env = append(m.Env, "TZ="+test.zone, "ARCADE_USAGE_TRACKING=0")
			renewalsAt := func(d time.Duration, args ...string) int {
				before := cloud.Count(identitytest.TokenPath)
				cmd := m.Command(args...)
				cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", testbed.TestClock, time.Until(login.Add(d))))
				if r := m.Finish(cmd); r.Code != 0 {
					t.Errorf("arcade %v after %s: %+v", args, d, r)
				}
				return cloud.Count(identitytest.TokenPath) - before
			}
			renewalsAt(0, append([]string{"login"}, testbed.At(cloud)...)...)
			file := m.ReadFile("credentials.yaml")
			if !regexp.MustCompile(`expires_at: '` + test.expires + `:\d\d\.\d{6}'`).MatchString(file) {
				t.Errorf("the token expires at %s by the wall, and the file says\n%s", test.expires, file)
			}
			if n := renewalsAt(test.good, "org", "list"); n != 0 {
				t.Errorf("after %s there are %d renewals, want none: Python takes the token for good", test.good, n)
			}
			if n := renewalsAt(test.over, "org", "list"); n != 1 {
				t.Errorf("after %s there are %d renewals, want one, 5 minutes before the end", test.over, n)
			}
		})
	}
}
