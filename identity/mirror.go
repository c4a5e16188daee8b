package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxMirrorSize is a hundred times what either CLI writes, in bytes.
	maxMirrorSize = 16 << 10
	// mirrorPatience is how long a read waits for another program's exclusive
	// lock. The Python CLI holds one for a single write and fsync.
	mirrorPatience = 50 * time.Millisecond
)

var (
	// ErrMirrorInvalid says that usage.json is there and is no identity: it
	// may be written again.
	ErrMirrorInvalid = errors.New("usage.json holds no identity")
	// ErrMirrorBusy says that another program is writing usage.json at this
	// moment: leave it alone, the next command sees the outcome.
	ErrMirrorBusy = errors.New("usage.json is being written by another program")
)

// Mirror is the content of usage.json, which the Python CLI shares.
type Mirror struct {
	// AnonID is a UUID.
	AnonID string
	// PrincipalID is the linked principal, "" for none (null in the file).
	PrincipalID string
}

// Mirror returns what usage.json has to say about s.
func (s State) Mirror() Mirror { return Mirror{s.AnonID, s.PrincipalID} }

// Encode returns the file's content, the bytes Python's json.dump(indent=2)
// writes: two blanks, pure ASCII, no newline at the end.
func (m Mirror) Encode() []byte {
	linked := "null"
	if m.PrincipalID != "" {
		linked = pythonString(m.PrincipalID)
	}
	return fmt.Appendf(nil, "{\n  \"anon_id\": %s,\n  \"linked_principal_id\": %s\n}", pythonString(m.AnonID), linked)
}

// Digest returns the hex SHA-256 of the file's content.
func (m Mirror) Digest() string { return contentDigest(m.Encode()) }

func contentDigest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// ReadMirror reads usage.json under a shared lock. The digest is that of the
// content, valid or not; comparing it with the one exported last tells whether
// another program has changed the file.
//
// The error is fs.ErrNotExist, [ErrMirrorInvalid], [ErrMirrorBusy], or one that
// says why the file cannot be read.
func ReadMirror(path string) (m Mirror, digest string, err error) {
	content, err := readMirrorFile(path)
	if errors.Is(err, errTooLarge) {
		return Mirror{}, "", ErrMirrorInvalid
	}
	if err != nil {
		return Mirror{}, "", fmt.Errorf("read usage.json: %w", err)
	}
	m, err = decodeMirror(content)
	return m, contentDigest(content), err
}

func readMirrorFile(path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !lockShared(f) {
		return nil, ErrMirrorBusy
	}
	return readLimited(f, maxMirrorSize)
}

// lockShared waits for the lock, but not for longer than mirrorPatience.
func lockShared(f *os.File) bool {
	if tryLockShared(f) {
		return true
	}
	for start := time.Now(); time.Since(start) < mirrorPatience; {
		time.Sleep(time.Millisecond)
		if tryLockShared(f) {
			return true
		}
	}
	return false
}

// decodeMirror is as strict about the two ids as PostHog is, because what it
// accepts is sent as such, and as lenient about all else as Python.
func decodeMirror(content []byte) (Mirror, error) {
	// A map, because a struct would also match "Anon_ID".
	var fields map[string]json.RawMessage
	if !utf8.Valid(content) || json.Unmarshal(content, &fields) != nil {
		return Mirror{}, ErrMirrorInvalid
	}
	var anonID, principalID *string
	if unmarshalField(fields["anon_id"], &anonID) != nil || unmarshalField(fields["linked_principal_id"], &principalID) != nil {
		return Mirror{}, ErrMirrorInvalid
	}
	if anonID == nil || !validAnonID(*anonID) {
		return Mirror{}, ErrMirrorInvalid
	}
	if principalID == nil || *principalID == "" { // Python takes both for "not linked"
		return Mirror{AnonID: *anonID}, nil
	}
	if !validPrincipalID(*principalID) {
		return Mirror{}, ErrMirrorInvalid
	}
	return Mirror{*anonID, *principalID}, nil
}

// unmarshalField leaves into alone when the field is missing.
func unmarshalField(raw json.RawMessage, into **string) error {
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// WriteMirror makes usage.json say m, unless it does already, and returns the
// digest of the content. The directory must exist; call it with the write lock
// held, so that two commands export in the order in which they committed.
func WriteMirror(path string, m Mirror) (digest string, err error) {
	content := m.Encode()
	present, err := readMirrorFile(path)
	if err != nil || !bytes.Equal(present, content) {
		if err := writeAtomically(path, content); err != nil {
			return "", fmt.Errorf("write usage.json: %w", err)
		}
		// Who was killed in here is followed by one that writes, since the file is not right. What
		// cannot be removed is no reason to say that this one failed.
		_ = removeTemporaries(path)
	}
	return contentDigest(content), nil
}

// pythonString quotes s as Python's json module does with ensure_ascii.
func pythonString(s string) string {
	quoted := []byte{'"'}
	for _, r := range s {
		quoted = appendPythonRune(quoted, r)
	}
	return string(append(quoted, '"'))
}

func appendPythonRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case r == '\n':
		return append(b, `\n`...)
	case r == '\r':
		return append(b, `\r`...)
	case r == '\t':
		return append(b, `\t`...)
	case r == '\f':
		return append(b, `\f`...)
	case r == '\b':
		return append(b, `\b`...)
	case ' ' <= r && r <= '~':
		return append(b, byte(r))
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}
