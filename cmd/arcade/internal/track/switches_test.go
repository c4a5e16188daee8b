package track

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func TestSwitchesAndWhichOneHasTheLastWord(t *testing.T) {
	for _, test := range []struct {
		tracking, doNotTrack string
		want                 Switches
	}{
		{"", "", Switches{}},
		{"", "1", Switches{outbox.ForceOff, "DO_NOT_TRACK"}},
		{"", "true", Switches{outbox.ForceOff, "DO_NOT_TRACK"}},
		{"", " yes ", Switches{outbox.ForceOff, "DO_NOT_TRACK"}},
		{"", "0", Switches{}},
		{"", "False", Switches{}},
		{"0", "", Switches{outbox.ForceOff, "ARCADE_USAGE_TRACKING"}},
		{"OFF", "0", Switches{outbox.ForceOff, "ARCADE_USAGE_TRACKING"}},
		{" no ", "", Switches{outbox.ForceOff, "ARCADE_USAGE_TRACKING"}},
		{"1", "1", Switches{outbox.ForceOn, "ARCADE_USAGE_TRACKING"}},
		{"anything", "1", Switches{outbox.ForceOn, "ARCADE_USAGE_TRACKING"}},
		{" ", "1", Switches{outbox.ForceOff, "DO_NOT_TRACK"}},
	} {
		tracker := New("", "")
		tracker.Env = func(name string) string {
			return map[string]string{"ARCADE_USAGE_TRACKING": test.tracking, "DO_NOT_TRACK": test.doNotTrack}[name]
		}
		if got := tracker.Switches(); got != test.want {
			t.Errorf("ARCADE_USAGE_TRACKING=%q DO_NOT_TRACK=%q: %+v, want %+v", test.tracking, test.doNotTrack, got, test.want)
		}
	}
}
