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
	for want, texts := range map[string][]string{
		"no address is set":            {"", " \t"},
		"does not start with https://": {"127.0.0.1:9", "localhost:8377", "ftp://us.i.posthog.com", "unix:/run/hush"},
		"names no host":                {"https:us.i.posthog.com", "https:///batch/", "https://:443"},
		"port that does not exist":     {"http://host:0", "http://host:65536", "https://us.i.posthog.com:", "https://https://us.i.posthog"},
		"has a blank in it":            {"http://ho st", "https://us.i.posthog.com/\u00a0a", "https://us.i.posthog.com\thush"},
		"a host that cannot exist": {"https://a.example,https://b", "https://$HOST/", "https://*.posthog.com", "https://us..posthog.com",
			"https://.", "https://~ada"},
		"cannot be read":    {"http://host/%zz"},
		"holds a user name": {"https://hush:hush@us.i.ph.com"},
		"behind a #":        {"https://us.i.posthog.com/#there"},
	} {
		for _, text := range texts {
			_, err := ParseAddress(text, example)
			unusable, _ := errors.AsType[*outbox.Unusable](err)
			if unusable == nil || unusable.Code != outbox.CodeAddress {
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
}
