package identity

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const someUUID = "5d0e1a52-7c54-4d0e-9d2c-0b6a3f1c9f11"

func TestTheMirrorIsByteForByteWhatPythonWrites(t *testing.T) {
	// The right sides are the output of Python 3's json.dumps(..., indent=2).
	for _, c := range []struct {
		name, principal, linked string
	}{
		{"no principal", "", `null`},
		{"a plain id", "acc_1", `"acc_1"`},
		{"quotes and backslashes", `a"b\c`, `"a\"b\\c"`},
		{"signs that HTML-minded encoders escape", "<a&b>", `"<a&b>"`},
		{"beyond ASCII", "Zoë", `"Zo\u00eb"`},
		{"beyond 16 bits", "\U0001f600", `"\ud83d\ude00"`},
		{"control characters", "\x00\b\t\n\f\r\x1f\x7f", `"\u0000\b\t\n\f\r\u001f\u007f"`},
		{"a slash", "a/b", `"a/b"`},
		{"line separators", "\u2028", `"\u2028"`},
	} {
		want := "{\n  \"anon_id\": \"" + someUUID + "\",\n  \"linked_principal_id\": " + c.linked + "\n}"
		if got := string(Mirror{AnonID: someUUID, PrincipalID: c.principal}.Encode()); got != want {
			t.Errorf("%s: the Python CLI would write other bytes\n got %s\nwant %s", c.name, got, want)
		}
	}
}

func TestReadingTheMirror(t *testing.T) {
	linked := func(principal string) string {
		quoted, _ := json.Marshal(principal)
		return `{"anon_id": "` + someUUID + `", "linked_principal_id": ` + string(quoted) + `}`
	}
	anonymous := Mirror{AnonID: someUUID}
	for _, c := range []struct {
		name, content string
		want          Mirror // zero: invalid
	}{
		{"accepts its own file", string(Mirror{AnonID: someUUID, PrincipalID: "acc_1"}.Encode()), Mirror{AnonID: someUUID, PrincipalID: "acc_1"}},
		{"accepts null", `{"anon_id": "` + someUUID + `", "linked_principal_id": null}`, anonymous},
		{"accepts a missing principal", `{"anon_id": "` + someUUID + `"}`, anonymous},
		{"takes an empty principal for none, like Python", linked(""), anonymous},
		{"accepts keys of other versions", `{"v": [1], "anon_id": "` + someUUID + `"}`, Mirror{AnonID: someUUID, unknown: map[string]json.RawMessage{"v": json.RawMessage("[1]")}}},
		{"accepts an id of 200 characters, not bytes", linked(strings.Repeat("ë", 200)), Mirror{AnonID: someUUID, PrincipalID: strings.Repeat("ë", 200)}},
		{"accepts an e-mail address", linked("a@b.c"), Mirror{AnonID: someUUID, PrincipalID: "a@b.c"}},

		{"refuses an empty file", "", Mirror{}},
		{"refuses half a file", `{"anon_id": "` + someUUID + `"`, Mirror{}},
		{"refuses null", "null", Mirror{}},
		{"refuses a list", `["` + someUUID + `"]`, Mirror{}},
		{"refuses a second value", `{"anon_id": "` + someUUID + `"} {}`, Mirror{}},
		{"refuses no anon id", `{"linked_principal_id": null}`, Mirror{}},
		{"refuses an anon id under another name", `{"ANON_ID": "` + someUUID + `"}`, Mirror{}},
		{"refuses an anon id of null", `{"anon_id": null}`, Mirror{}},
		{"refuses an anon id that is a number", `{"anon_id": 7}`, Mirror{}},
		{"refuses an anon id that is no UUID", `{"anon_id": "me"}`, Mirror{}},
		{"refuses a UUID without dashes", `{"anon_id": "` + strings.ReplaceAll(someUUID, "-", "") + `"}`, Mirror{}},
		{"refuses a UUID in braces", `{"anon_id": "{` + someUUID + `}"}`, Mirror{}},
		{"refuses a principal that is no string", `{"anon_id": "` + someUUID + `", "linked_principal_id": 7}`, Mirror{}},
		{"refuses an id PostHog would cut", linked(strings.Repeat("x", 201)), Mirror{}},
		{"refuses an id PostHog refuses", linked("anonymous"), Mirror{}},
		{"refuses it in capitals", linked("Guest"), Mirror{}},
		{"refuses it in quotes", linked(`"null"`), Mirror{}},
		{"refuses the placeholder 0", linked("0"), Mirror{}},
		{"refuses an object turned into text", linked("[object Object]"), Mirror{}},
		{"refuses a blank id", linked("  "), Mirror{}},
		{"refuses blanks around an id", linked(" acc_1"), Mirror{}},
		{"refuses terminal control characters", linked("acc\x1b[31m"), Mirror{}},
		{"refuses invisible characters", linked("acc\u202e"), Mirror{}},
		{"refuses half a surrogate pair", `{"anon_id": "` + someUUID + `", "linked_principal_id": "\ud800"}`, Mirror{}},
		{"refuses what is not UTF-8", `{"anon_id": "` + someUUID + `", "x": "` + "\xff" + `"}`, Mirror{}},
		{"refuses a file of 20 kB", `{"anon_id": "` + someUUID + `"}` + strings.Repeat(" ", 20<<10), Mirror{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "usage.json")
			put(t, path, c.content)
			got, _, err := ReadMirror(path)
			if string(got.Encode()) != string(c.want.Encode()) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if valid := c.want.AnonID != ""; (err == nil) != valid || !valid && !errors.Is(err, ErrMirrorInvalid) {
				t.Errorf("got error %v; want ErrMirrorInvalid exactly for what is no identity", err)
			}
		})
	}
}

func TestReadingAMirrorThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := ReadMirror(filepath.Join(dir, "usage.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gave %v; want fs.ErrNotExist, so that it is exported again", err)
	}
	checkFiles(t, filepath.Join(dir, "usage.json")) // an empty one would be no identity
	if _, _, err := ReadMirror(dir); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrMirrorInvalid) {
		t.Errorf("a directory gave %v; want an error that asks for nothing to be written", err)
	}
}

func TestTheDigestTellsWhoWroteTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	exported, err := WriteMirror(path, Mirror{AnonID: someUUID})
	_, read, readErr := ReadMirror(path)
	if own := (State{AnonID: someUUID, Credential: f1}).Mirror().Digest(); errors.Join(err, readErr) != nil || read != exported || own != exported {
		t.Errorf("digests: exported %q, read %q, reckoned %q (%v, %v); want one", exported, read, own, err, readErr)
	}
	put(t, path, `{}`)
	if _, read, err := ReadMirror(path); !errors.Is(err, ErrMirrorInvalid) || read == exported || read == "" {
		t.Errorf("another program's file has digest %q (%v); want one of its own, even though it is invalid", read, err)
	}
}

func TestTheMirrorIsReplacedWhenItWouldDiffer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	put(t, temporaryOf(path), "{")                                   // of an export that was killed
	put(t, filepath.Join(filepath.Dir(path), ".usage_abc.tmp"), "{") // of the Python CLI, which may be writing it
	var files []os.FileInfo
	for _, principal := range []string{"", "", "acc_1"} {
		_, err := WriteMirror(path, Mirror{AnonID: someUUID, PrincipalID: principal})
		info, statErr := os.Stat(path)
		if errors.Join(err, statErr) != nil {
			t.Fatal(err, statErr)
		}
		files = append(files, info)
	}
	if !os.SameFile(files[0], files[1]) || os.SameFile(files[1], files[2]) {
		t.Error("want another file for another identity, of which a reader sees no half, and none for the same")
	}
	checkPrivate(t, path)
	checkFiles(t, path, ".usage_abc.tmp", "usage.json")
}

func TestUnknownKeysStayWhileTheAnonIDDoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	const before = `{"v": {"a": ["ë", null]}, "anon_id": "` + someUUID + `", "x": 1, "linked_principal_id": null, "é": "é"}`
	put(t, path, before)
	digest, err := WriteMirror(path, Mirror{AnonID: someUUID, PrincipalID: "acc_1"})
	const want = "{\n  \"anon_id\": \"" + someUUID + "\",\n  \"linked_principal_id\": \"acc_1\"," +
		"\n  \"v\": {\n    \"a\": [\n      \"\\u00eb\",\n      null\n    ]\n  },\n  \"x\": 1,\n  \"\\u00e9\": \"\\u00e9\"\n}"
	if got, _ := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the file is\n%s (%v)\nwant what another program noted about this anon id kept:\n%s", got, err, want)
	}
	found, read, err := ReadMirror(path)
	if own := (Mirror{AnonID: someUUID, PrincipalID: "acc_1"}).Keeping(found).Digest(); err != nil || read != digest || own != digest {
		t.Errorf("digests: written %q, read %q, %v, reckoned %q; want one, or the file counts as changed for ever", digest, read, err, own)
	}
	const other = "6d0e1a52-7c54-4d0e-9d2c-0b6a3f1c9f11"
	if _, err := WriteMirror(path, Mirror{AnonID: other}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != string(Mirror{AnonID: other}.Encode()) {
		t.Errorf("a new anon id has %s; want nothing that was noted about the old one", got)
	}
}

func TestAMirrorThatCannotBeWrittenLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "usage.json")
	must(t, os.Mkdir(path, 0o700))
	if _, err := WriteMirror(path, Mirror{AnonID: someUUID}); err == nil {
		t.Error("a directory was replaced by a file; want an error")
	}
	checkFiles(t, path, "usage.json")
	if _, err := WriteMirror(filepath.Join(dir, "missing", "usage.json"), Mirror{AnonID: someUUID}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v; want fs.ErrNotExist for a directory that is not there", err)
	}
}

// temporaryOf is what a killed writer of path leaves.
func temporaryOf(path string) string {
	return filepath.Join(filepath.Dir(path), strings.Replace(temporaryPattern(path), "*", "1", 1))
}

// checkFiles checks what the directory of path holds.
func checkFiles(t *testing.T, path string, want ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("beside %s: %q, %v; want %q", filepath.Base(path), got, err, want)
	}
}

func FuzzTheMirror(f *testing.F) {
	f.Add([]byte(`{"anon_id": "` + someUUID + `", "linked_principal_id": null}`))
	f.Add([]byte(`{"anon_id": "` + someUUID + `", "linked_principal_id": "\u00eb\ud83d\ude00"}`))
	f.Add([]byte(`{"anon_id": "x"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := decodeMirror(content)
		if err != nil {
			return
		}
		if !validAnonID(m.AnonID) || m.PrincipalID != "" && !validPrincipalID(m.PrincipalID) {
			t.Fatalf("accepted %+v", m)
		}
		again, err := decodeMirror(m.Encode())
		if err != nil || string(again.Encode()) != string(m.Encode()) {
			t.Fatalf("%+v does not survive being written: %+v, %v", m, again, err)
		}
		for _, b := range m.Encode() {
			if b > '~' {
				t.Fatalf("%q is not ASCII, as Python's file is", m.Encode())
			}
		}
	})
}
