package httpsend

import (
	"errors"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

const example = "https://right.example"

func TestAnAddressThatIsWrongInItselfIsToldFromARightOne(t *testing.T) {
	for text, want := range map[string]string{
		"https://us.i.posthog.com":          "https://us.i.posthog.com",
		"  http://127.0.0.1:1\t\n":          "http://127.0.0.1:1",
		"HTTPS://US.i.PostHog.com/Prefix/":  "https://us.i.posthog.com/Prefix/",
		"http://[::1]:8377/a%2Fb":           "http://[::1]:8377/a%2Fb",
		"https://example.com/e?token=hush1": "https://example.com/e?token=hush1",
		"https://bücher.example":            "https://b%C3%BCcher.example",
		"https://us_i.posthog.com.:65535/a": "https://us_i.posthog.com.:65535/a",
		"http://[fe80::1%25eth0]:8377":      "http://[fe80::1%25eth0]:8377",
	} {
		if got, err := ParseAddress(text, example); err != nil || got.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, got.String(), err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                 "no address is set",
		" \t":                              "no address is set",
		"127.0.0.1:9":                      "does not start with https://",
		"localhost:8377":                   "does not start with https://",
		"ftp://us.i.posthog.com":           "does not start with https://",
		"unix:/run/hush":                   "does not start with https://",
		"https:us.i.posthog.com":           "names no host",
		"https:///batch/":                  "names no host",
		"https://:443":                     "names no host",
		"http://host:0":                    "port that does not exist",
		"http://host:65536":                "port that does not exist",
		"http://ho st":                     "has a blank in it",
		"https://us.i.posthog.com/\u00a0a": "has a blank in it",
		"https://us.i.posthog.com\thush":   "has a blank in it",
		"https://a.example,https://b":      "a host that cannot exist",
		"https://$HOST/":                   "a host that cannot exist",
		"https://*.posthog.com":            "a host that cannot exist",
		"https://us..posthog.com":          "a host that cannot exist",
		"https://.":                        "a host that cannot exist",
		"https://~ada":                     "a host that cannot exist",
		"https://https://us.i.posthog":     "port that does not exist",
		"https://us.i.posthog.com:":        "port that does not exist",
		"http://host/%zz":                  "cannot be read",
		"https://hush:hush@us.i.ph.com":    "holds a user name",
		"https://us.i.posthog.com/#there":  "behind a #",
	} {
		_, err := ParseAddress(text, example)
		var unusable *outbox.Unusable
		if !errors.As(err, &unusable) || unusable.Code != outbox.CodeAddress {
			t.Errorf("%q is taken for an address: %v", text, err)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.HasSuffix(err.Error(), example) {
			t.Errorf("%q: %q, want %q and what a right one looks like", text, err, want)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the message quotes what may be a secret: %q", err)
		}
	}
}
