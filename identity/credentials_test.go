package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const apiKeyFile = `
cloud:
  api:  {key: arc_SENTINEL, version: v1}
  user: {email: a@b.c}
`

const oauthFile = `
cloud:
  coordinator_url: https://cloud.example/
  auth: {access_token: tok_SENTINEL, refresh_token: ref_SENTINEL, expires_at: 2026-11-23T10:00:00.123456}
  user: {email: a@b.c}
  context: {org_id: org_1, org_name: Org, project_id: 7, project_name: Project}
`

// decodeLogin returns the active login, too.
func decodeLogin(content []byte) (Credentials, *document, error) {
	d, err := decodeDocument(content)
	if err != nil {
		return Credentials{}, nil, err
	}
	c, _ := d.Find(d.Active)
	if !d.mapped {
		c.Name = ""
	}
	return c, d, nil
}

// zone is the local time of the tests: two hours ahead of UTC.
var zone = time.FixedZone("test", 2*60*60)

func TestReadingCredentials(t *testing.T) {
	expires := time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.Local)
	for _, c := range []struct {
		name, content string
		want          Credentials
	}{
		{"of the API-key generation", apiKeyFile, Credentials{APIKey: "arc_SENTINEL", Email: "a@b.c"}},
		{"of the OAuth generation", oauthFile, Credentials{AccessToken: "tok_SENTINEL", RefreshToken: "ref_SENTINEL", ExpiresAt: expires,
			Email: "a@b.c", CoordinatorURL: "https://cloud.example/", Context: Context{"org_1", "Org", "7", "Project"}}},
		{"of a later generation", "version: 3\ncloud: {api: {key: k, more: [1]}, new: {}}", Credentials{APIKey: "k"}},
		{"that look like other things than text", "cloud: {api: {key: 0123}, user: {email: true}}", Credentials{APIKey: "0123", Email: "true"}},
		{"with an API key that is binary", "cloud: {api: {key: !!binary aGk=}}", Credentials{APIKey: "hi"}},
		{"from an empty file", "", Credentials{}},
		{"from a file of comments", "# nothing\n", Credentials{}},
		{"from null", "null", Credentials{}},
		{"from an empty cloud", "cloud:\n", Credentials{}},
		{"from null values", "cloud: {api: , user: {email: ~}, auth: null}", Credentials{}},
		{"from a file of something else", "colour: blue", Credentials{}},
		{"from Windows", "\ufeffcloud:\r\n  api:\r\n    key: k\r\n", Credentials{APIKey: "k"}},
	} {
		if got, _, err := decodeLogin([]byte(c.content)); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, show(got), err, show(c.want))
		}
	}
}

// show prints what String hides.
func show(c Credentials) string {
	type open Credentials
	return fmt.Sprintf("%+v", open(c))
}

// A file of another shape may be a newer program's.
func TestALoginFileThatIsNotUnderstoodStaysAsItIsAndIsNotQuoted(t *testing.T) {
	for want, files := range map[error]map[string]string{
		ErrCredentialsInvalid: {
			"no YAML":       "cloud: {api: {key: SENTINEL",
			"a tab":         "cloud:\n\tapi: SENTINEL",
			"text":          "SENTINEL",
			"a list":        "[SENTINEL]",
			"two documents": "cloud: {}\n---\nSENTINEL",
			"a broken end":  "cloud: {}\n---\n{SENTINEL",
			"no anchor":     "cloud: *SENTINEL",
			"no UTF-8":      "cloud: {api: {key: \"SENTINEL\xff\"}}",
			"200 kB":        "cloud: {api: {key: SENTINEL}}" + strings.Repeat(" ", 200<<10),
		},
		ErrCredentialsNewer: {
			"text for a mapping":             "cloud: SENTINEL",
			"a list for a mapping":           "cloud: [{name: SENTINEL, kind: self_hosted}]",
			"a list for a key":               "cloud: {api: {key: [SENTINEL]}}",
			"a mapping for a key":            "cloud: {api: {key: {SENTINEL: SENTINEL}}}",
			"a key twice":                    "cloud: {api: {key: SENTINEL, key: SENTINEL2}}",
			"bad base64":                     "cloud: {api: {key: !!binary SENTINEL!}}",
			"contexts in a list":             "cloud: {contexts: [{name: SENTINEL}], auth: {access_token: t}}",
			"contexts in a text":             "cloud: {contexts: SENTINEL, auth: {access_token: t}}",
			"contexts merged from elsewhere": "cloud: {contexts: {<<: {a: {api_key: SENTINEL}}}, auth: {access_token: t}}",
			"a context twice":                "cloud: {contexts: {a: {api_key: SENTINEL}, a: {}}}",
			"a list for a context":           "cloud: {contexts: {a: [SENTINEL]}}",
			"a context without a name":       "cloud: {contexts: {'': {api_key: SENTINEL}}}",
			"a list for the active context":  "cloud: {contexts: {a: {api_key: SENTINEL}}, active_context: [a]}",
		},
	} {
		for name, content := range files {
			f, login := credentialsAt(t, content), oauthCredentials(time.Now())
			setMode(t, f.Path, 0o600) // it is not being written
			got, readErr := f.Read()
			for what, err := range map[string]error{
				"a look": readErr, "a login": f.Write(t.Context(), login),
				"a change": f.SetContext(t.Context(), login, Context{}), "a choice": f.Activate(t.Context(), "a"),
			} {
				newer := errors.Is(err, ErrCredentialsNewer)
				if !errors.Is(err, want) || newer != (want == ErrCredentialsNewer) || strings.Contains(fmt.Sprint(err), "SENTINEL") {
					t.Errorf("%s: %s gave %v; want %v, and no word of the file", name, what, err, want)
				}
			}
			if now := contentOf(t, f.Path); got != (Credentials{}) || now != content {
				t.Errorf("%s: got %s, and the file became\n%s\nwant nothing, and the file as it was", name, show(got), now)
			}
		}
	}
}

func TestTheExpiryIsReadAsPythonMeansIt(t *testing.T) {
	local := time.Date(2026, 11, 23, 10, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-11-23T10:00:00.123456":       local.Add(123456 * time.Microsecond),
		"2026-11-23T10:00:00":              local,
		"2026-11-23 10:00:00.123456":       local.Add(123456 * time.Microsecond),
		"2026-11-23T10:00:00.123456+00:00": local.Add(2*time.Hour + 123456*time.Microsecond),
		"2026-11-23 10:00:00+01:00":        local.Add(time.Hour),
		"2026-11-23T10:00:00Z":             local.Add(2 * time.Hour),
		"":                                 {},
		"2026-11-23":                       {},
	} {
		if got := parseExpiry(text, zone); !got.Equal(want) {
			t.Errorf("%q is %v; want %v", text, got, want)
		}
	}
}

func TestATokenExpiresFiveMinutesEarly(t *testing.T) {
	token := Credentials{AccessToken: "t", ExpiresAt: noon}
	for _, c := range []struct {
		login Credentials
		left  time.Duration
		want  bool
	}{
		{token, time.Hour, false}, {token, 5*time.Minute + time.Second, false},
		{token, 5 * time.Minute, true}, {token, 0, true}, {token, -time.Hour, true},
		{Credentials{AccessToken: "t"}, 0, false}, // of unknown expiry: the server is the judge
		{Credentials{APIKey: "k", AccessToken: "t", ExpiresAt: noon}, 0, false},
	} {
		if got := c.login.Expired(noon.Add(-c.left)); got != c.want {
			t.Errorf("%s: %v before its time, expired is %v; want %v", show(c.login), c.left, got, c.want)
		}
	}
}

func TestFingerprints(t *testing.T) {
	oauth := Credentials{AccessToken: "t1", Email: "a@b.c"}
	for why, twins := range map[string][2]Credentials{
		"a key wins over a token":   {{APIKey: "k", AccessToken: "t", Email: "e"}, {APIKey: "k"}},
		"tokens change hourly":      {oauth, {AccessToken: "t2", Email: "a@b.c"}},
		"the default Cloud by name": {oauth, {AccessToken: "t1", Email: "a@b.c", CoordinatorURL: DefaultCloudURL + "/"}},
		"an e-mail in capitals":     {oauth, {AccessToken: "t1", Email: "A@B.C"}},
		"no credentials":            {{Email: "a@b.c"}, {}},
	} {
		if x, y := twins[0].Fingerprint(), twins[1].Fingerprint(); x != y {
			t.Errorf("%s: %s and %s; want the same", why, x, y)
		}
	}
	seen := map[string]string{}
	for why, c := range map[string]Credentials{
		"a person": oauth, "another person": {AccessToken: "t1", Email: "x@b.c"},
		"another Cloud": {AccessToken: "t1", Email: "a@b.c", CoordinatorURL: "https://cloud.example"},
		"a key":         {APIKey: "k"}, "another key": {APIKey: "k2"}, "a key that spells an account": {APIKey: "account"},
		"a token without an account": {AccessToken: "t1"}, "another one": {AccessToken: "t2"},
		"a token that spells a key": {AccessToken: "k"},
	} {
		fingerprint := c.Fingerprint()
		if other, found := seen[fingerprint]; found || len(fingerprint) != 32 {
			t.Errorf("%s and %s: %q; want two, of 32 hex digits", why, other, fingerprint)
		}
		seen[fingerprint] = why
	}
	// Stored in databases and compared with what later versions compute: if
	// this changes, Arcade Cloud is asked about every user again.
	if got := (Credentials{APIKey: "arc_example"}).Fingerprint(); got != "d05ae8f539172e1b705362e7bae1add9" {
		t.Errorf("the fingerprint of arc_example has become %s; want it for ever", got)
	}
}

func TestSecretsArePrintedNowhere(t *testing.T) {
	for _, secret := range []any{
		Credentials{APIKey: "SENTINEL", AccessToken: "SENTINEL", RefreshToken: "SENTINEL"},
		Tokens{Access: "SENTINEL", Refresh: "SENTINEL"},
	} {
		for _, value := range []any{secret, struct{ Secret any }{secret}} {
			if text := fmt.Sprintf("%[1]v %+[1]v %#[1]v %[1]s %[1]q", value); strings.Contains(text, "SENTINEL") {
				t.Errorf("%T is printed as %s", secret, text)
			}
		}
	}
}

// Another program may write what this one cannot read, such as a number.
func TestAChangeLeavesWhatItIsNotAboutAsItIsWritten(t *testing.T) {
	const before, after = `context: {org_id: "o", org_name: O, project_id: q, project_name: Q}`,
		`context: {org_id: "o", org_name: O, project_id: p, project_name: P}`
	for _, expiry := range []string{"expires_at: 4102444800, ", "expires_at: '2099-01-02T03:04:05', ", ""} {
		content := "cloud:\n  auth: {access_token: t, " + expiry + "refresh_token: r}\n  "
		f := credentialsAt(t, content+before+"\n")
		login, err := f.Read()
		must(t, err, f.SetContext(t.Context(), login, Context{OrgID: "o", OrgName: "O", ProjectID: "p", ProjectName: "P"}))
		if got, want := contentOf(t, f.Path), content+after+"\n"; got != want {
			t.Errorf("after another project:\n%s\nwant\n%s", got, want)
		}
	}
}

func TestALoginReplacesTheFormerOneAndKeepsTheRest(t *testing.T) {
	key, tokens := Credentials{APIKey: "arc_new", Email: "n@e.w", CoordinatorURL: DefaultCloudURL}, oauthCredentials(time.Now())
	anonymous, named := key, tokens
	anonymous.Email = ""
	named.Name, named.Kind = "a", ArcadeCloud
	for name, c := range map[string]struct {
		login  Credentials
		before string
		kept   []string // each of one line or more
	}{
		"a key in the API-key generation": {key,
			"# mine\ntheme: dark # really\ncloud:\n  api: {key: arc_OLD, version: v1, note: n1}\n  region: eu\n",
			[]string{"# mine\ntheme: dark # really", "note: n1", "region: eu"}},
		"tokens in the API-key generation": {tokens,
			"cloud:\n  region: eu # here\n  api: {key: arc_OLD, version: v1}\n  user: {name: N, email: o@l.d}\n  # the end\ncontexts: [1, 2]\n",
			[]string{"cloud:\n  region: eu # here\n", "name: N", "# the end", "contexts: [1, 2]"}},
		"a key in the OAuth generation": {key, oauthFile + "  region: eu\nother: [1, 2]\n", []string{"region: eu", "other: [1, 2]"}},
		"a key without an e-mail": {anonymous, "cloud:\n  user: {email: OLD, nick: z}\n  auth: {access_token: t}\n",
			[]string{"user: {nick: z}"}},
		"in a context": {named, "cloud:\n  contexts: {a: {note: n1, user: {email: OLD, note: n2, kind: n3}, api_key: OLD}}\n",
			[]string{"note: n1", "note: n2", "kind: n3"}},
		"in a file of comments": {key, "# mine\n\n# too", []string{"# mine\n\n# too\n"}},
		"in a file of nulls":    {key, "cloud: {api: null, user: ~}\nx: 1", []string{"x: 1"}},
		"with anchors": {key, "x: &k arc_1\ncloud: {api: {key: *k}, user: &u {email: OLD, name: N}}\ny: *u\n",
			[]string{"x: &k arc_1", "name: N"}},
	} {
		f := credentialsAt(t, "")
		must(t, os.WriteFile(f.Path, []byte(c.before), 0o644), f.Write(t.Context(), c.login))
		if got, err := f.Read(); err != nil || got != c.login {
			t.Errorf("%s: read back %s, %v; want the new login and nothing of the old: %s", name, show(got), err, show(c.login))
		}
		content := contentOf(t, f.Path)
		for _, kept := range c.kept {
			if !strings.Contains(content, kept) {
				t.Errorf("%s: %q was lost; want it kept:\n%s", name, kept, content)
			}
		}
		former := strings.Contains(content, "SENTINEL") || strings.Contains(content, "OLD")
		if former || c.login.APIKey == "" && strings.Contains(content, "api:") {
			t.Errorf("%s: something of the former login survives, and the Python CLI refuses a key beside tokens:\n%s", name, content)
		}
		checkPrivate(t, f.Path)
	}
}

func TestALoginThatCannotBeReadBackIsNotWritten(t *testing.T) {
	login := Credentials{APIKey: "arc_new"}
	written := credentialsAt(t, "")
	must(t, written.Write(t.Context(), login))
	room := maxCredentialsSize - len(contentOf(t, written.Path))
	for before, want := range map[string]bool{
		"base: &b {auth: {access_token: old}}\ncloud: {<<: *b}\n": false, // the merged token would remain in force
		"x: " + strings.Repeat("x", room-4) + "\n":                true,
		"x: " + strings.Repeat("x", room-3) + "\n":                false, // too large to be read
	} {
		f := credentialsAt(t, before)
		if err := f.Write(t.Context(), login); (err == nil) != want || err != nil && !errors.Is(err, ErrCredentialsInvalid) {
			t.Errorf("got %v for %d bytes; want it written: %v, or ErrCredentialsInvalid", err, len(before), want)
		}
		if !want && contentOf(t, f.Path) != before {
			t.Errorf("the file of %d bytes was changed", len(before))
		}
	}
}

func TestRemovingCredentials(t *testing.T) {
	f := credentialsAt(t, apiKeyFile)
	put(t, temporaryOf(f.Path), apiKeyFile) // what a login leaves behind that is killed before the rename
	put(t, f.Path+".mine", "")
	// The second time there is nothing to remove, and the third not even a directory.
	must(t, f.Remove(), f.Remove(), CredentialsFile{Path: filepath.Join(t.TempDir(), "missing", "credentials.yaml")}.Remove())
	checkFiles(t, f.Path, "credentials.yaml.mine") // the key is in no file any more, the user's own file still is
	if err := (CredentialsFile{Path: filepath.Dir(f.Path)}).Remove(); err == nil {
		t.Error("a directory that is not empty gave no error; the user would believe to be logged out")
	}
}

func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{
		apiKeyFile, oauthFile, "", "cloud: SENTINEL", "a: &a [*a]", "cloud: &c {api: *c}", "? {a: b}\n: c",
		"cloud: {<<: {api: {key: k}}}", "--- !!binary x",
	} {
		f.Add([]byte(seed), "arc_1", "a@b.c")
	}
	f.Add([]byte(""), "0x1f", "~")
	f.Add([]byte(""), "a\n b \n", "\xff\x00")
	for _, key := range []string{"null", "yes", "1e3", "2026-11-23", "- a", "a: b", "#", "'", `"`, "*a", "&a", "!x", "%", "@",
		" a", "a ", "a \n b\n\n", "\t", "\x00\x1b", "ë", "\u2028", "\ufeff", strings.Repeat("k", 4096)} {
		f.Add([]byte(""), key, "a@b.c")
	}
	f.Fuzz(func(t *testing.T, content []byte, apiKey, email string) {
		c, d, err := decodeLogin(content)
		if err != nil {
			if !errors.Is(err, ErrCredentialsInvalid) {
				t.Fatalf("got %v; only ErrCredentialsInvalid quotes nothing", err)
			}
			return
		}
		if c.Present() != (c.Fingerprint() != "") {
			t.Fatalf("%s: present is %v, the fingerprint %q", show(c), c.Present(), c.Fingerprint())
		}
		login := Credentials{APIKey: apiKey, Email: email, CoordinatorURL: DefaultCloudURL}
		written, err := d.encode(d.with(login))
		if err != nil {
			if len(content) == 0 && len(apiKey)+len(email) < maxTokenLength {
				t.Fatalf("the key %q cannot be stored in a new file: %v; want any, keys are opaque", apiKey, err)
			}
			return
		}
		if got, _, err := decodeLogin(written); err != nil || got.Token() != login.Token() || got.Email != login.Email {
			t.Fatalf("wrote %q, read back %s, %v", written, show(got), err)
		}
	})
}
