package outboxtest

import (
	"context"
	"testing"
)

func TestAFlightIsStillOnUnlessItsClientHasLeft(t *testing.T) {
	for _, test := range []struct {
		name         string
		left, landed bool
		want         bool
	}{
		{"its client has left and it has noticed", true, true, false},
		{"its client has left and it has not noticed", true, false, false},
		{"it was answered while the next one was waiting", false, true, true},
		{"it goes on", false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, leave := context.WithCancel(context.Background())
			f := newFlight(1, ctx)
			if test.left {
				leave()
			}
			if test.landed {
				New().land(f)
			}
			leave() // net/http ends the context of every request whose handler returns
			if !test.left && !test.landed {
				f = newFlight(1, context.Background())
			}
			if got := f.stillOn(); got != test.want {
				t.Errorf("stillOn() = %v, want %v", got, test.want)
			}
		})
	}
}
