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
	file := func(members string) string { return `{"anon_id": "` + someUUID + `"` + members + `}` }
	linked := func(principal string) string {
		quoted, _ := json.Marshal(principal)
		return file(`, "linked_principal_id": ` + string(quoted))
	}
	path, long := filepath.Join(t.TempDir(), "usage.json"), strings.Repeat("ë", 200)
	for _, c := range []struct{ name, content, principal string }{
		{"its own file", string(Mirror{AnonID: someUUID, PrincipalID: "acc_1"}.Encode()), "acc_1"},
		{"null", file(`, "linked_principal_id": null`), ""},
		{"a missing principal", file(""), ""},
		{"an empty principal, which is none, like in Python", linked(""), ""},
		{"keys of other versions", file(`, "v": [1]`), ""},
		{"an id of 200 characters, not bytes", linked(long), long},
	} {
		put(t, path, c.content)
		if m, _, err := ReadMirror(path); err != nil || m.AnonID != someUUID || m.PrincipalID != c.principal {
			t.Errorf("%s: got %+v, %v; want it accepted, and %q linked", c.name, m, err, c.principal)
		}
	}
	for name, content := range map[string]string{
		"an empty file":                     "",
		"half a file":                       strings.TrimSuffix(file(""), "}"),
		"null":                              "null",
		"a list":                            `["` + someUUID + `"]`,
		"a second value":                    file("") + " {}",
		"no anon id":                        `{"linked_principal_id": null}`,
		"an anon id under another name":     `{"ANON_ID": "` + someUUID + `"}`,
		"an anon id of null":                `{"anon_id": null}`,
		"an anon id that is a number":       `{"anon_id": 7}`,
		"an anon id that is no UUID":        `{"anon_id": "me"}`,
		"a UUID without dashes":             `{"anon_id": "` + strings.ReplaceAll(someUUID, "-", "") + `"}`,
		"a principal that is no string":     file(`, "linked_principal_id": 7`),
		"an id PostHog would cut":           linked(strings.Repeat("x", 201)),
		"an id PostHog refuses":             linked("anonymous"),
		"an id PostHog refuses in capitals": linked("Guest"),
		"an id PostHog refuses in quotes":   linked(`"null"`),
		"the placeholder 0":                 linked("0"),
		"an object turned into text":        linked("[object Object]"),
		"blanks around an id":               linked(" acc_1"),
		"invisible characters":              linked("acc\u202e"),
		"half a surrogate pair":             file(`, "linked_principal_id": "\ud800"`),
		"what is not UTF-8":                 file(`, "x": "` + "\xff" + `"`),
		"a file of 20 kB":                   file("") + strings.Repeat(" ", 20<<10),
	} {
		put(t, path, content)
		if m, _, err := ReadMirror(path); !errors.Is(err, ErrMirrorInvalid) || string(m.Encode()) != string(Mirror{}.Encode()) {
			t.Errorf("%s: got %+v, %v; want no identity, and ErrMirrorInvalid", name, m, err)
		}
	}
}

// Nothing is written in the place of what cannot be read.
func TestAMissingFileIsToldApartFromOneThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	for path, missing := range map[string]bool{filepath.Join(folder, "missing"): true, folder: false} {
		_, _, mirrorErr := ReadMirror(path)
		_, loginErr := CredentialsFile{Path: path}.Read()
		for what, err := range map[string]error{"usage.json": mirrorErr, "the login": loginErr} {
			damaged := errors.Is(err, ErrMirrorInvalid) || errors.Is(err, ErrCredentialsInvalid)
			if err == nil || damaged || errors.Is(err, fs.ErrNotExist) != missing {
				t.Errorf("%s at %s gave %v; want that it is missing: %v, and never that it is damaged", what, path, err, missing)
			}
		}
	}
}

func TestTheMirrorIsReplacedWhenItWouldDiffer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	put(t, temporaryOf(path), "{")                                   // of an export that was killed
	put(t, filepath.Join(filepath.Dir(path), ".usage_abc.tmp"), "{") // of the Python CLI, which may be writing it
	var files []os.FileInfo
	for _, principal := range []string{"", "", "acc_1"} {
		_, err := WriteMirror(path, Mirror{AnonID: someUUID, PrincipalID: principal})
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
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
	linked := State{AnonID: someUUID, PrincipalID: "acc_1", Credential: f1}.Mirror()
	digest, err := WriteMirror(path, linked)
	must(t, err)
	const want = "{\n  \"anon_id\": \"" + someUUID + "\",\n  \"linked_principal_id\": \"acc_1\"," +
		"\n  \"v\": {\n    \"a\": [\n      \"\\u00eb\",\n      null\n    ]\n  },\n  \"x\": 1,\n  \"\\u00e9\": \"\\u00e9\"\n}"
	if got := contentOf(t, path); got != want {
		t.Errorf("the file is\n%s\nwant what another program noted about this anon id kept:\n%s", got, want)
	}
	found, read, err := ReadMirror(path)
	if own := linked.Keeping(found).Digest(); err != nil || read != digest || own != digest {
		t.Errorf("digests: written %q, read %q, %v, reckoned %q; want one, or the file counts as changed for ever", digest, read, err, own)
	}
	const other = "6d0e1a52-7c54-4d0e-9d2c-0b6a3f1c9f11"
	_, err = WriteMirror(path, Mirror{AnonID: other})
	must(t, err)
	if got := contentOf(t, path); got != string(Mirror{AnonID: other}.Encode()) {
		t.Errorf("a new anon id has %s; want nothing that was noted about the old one", got)
	}
	put(t, path, `{}`)
	if _, read, err := ReadMirror(path); !errors.Is(err, ErrMirrorInvalid) || read == digest || read == "" {
		t.Errorf("another program's file has digest %q (%v); want one of its own, even though it is invalid", read, err)
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
