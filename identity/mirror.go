package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxMirrorSize is a hundred times what either CLI writes, in bytes.
const maxMirrorSize = 16 << 10

// ErrMirrorInvalid says that usage.json may be written again.
var ErrMirrorInvalid = errors.New("usage.json holds no identity")

// Mirror is the content of usage.json, which the Python CLI shares. Both CLIs replace the
// whole file by a rename, so that a reader needs no lock.
type Mirror struct {
	AnonID      string                     // a UUID
	PrincipalID string                     // the linked principal, "" for none (null in the file)
	members     map[string]json.RawMessage // of the file's object; unknown ones are kept
}

// Mirror returns the content of usage.json for s.
func (s State) Mirror() Mirror { return Mirror{AnonID: s.AnonID, PrincipalID: s.PrincipalID} }

// Keeping returns m with the unknown members of found, the present file, if both are
// about one anon id.
func (m Mirror) Keeping(found Mirror) Mirror {
	if m.AnonID == found.AnonID {
		m.members = found.members
	}
	return m
}

// Encode returns the bytes that Python's json.dump(indent=2) writes: two blanks,
// pure ASCII, no newline at the end.
func (m Mirror) Encode() []byte {
	members := map[string]any{}
	for name, value := range m.members {
		members[name] = value
	}
	members["anon_id"], members["linked_principal_id"] = m.AnonID, nil
	if m.PrincipalID != "" {
		members["linked_principal_id"] = m.PrincipalID
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(members) // texts, and JSON that was decoded, always marshal
	var ascii []byte
	for _, r := range strings.TrimSuffix(out.String(), "\n") {
		switch { // only strings have other characters than ASCII
		case r <= '~':
			ascii = append(ascii, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			ascii = fmt.Appendf(ascii, `\u%04x\u%04x`, high, low)
		default:
			ascii = fmt.Appendf(ascii, `\u%04x`, r)
		}
	}
	return ascii
}

// Digest returns the hex SHA-256 of the file's content.
func (m Mirror) Digest() string { return contentDigest(m.Encode()) }

func contentDigest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// ReadMirror reads usage.json. The digest is that of the content, valid or not; if it is
// not that of the last export, another program has changed the file.
//
// The error is fs.ErrNotExist, [ErrMirrorInvalid], or one that says why the file
// cannot be read.
func ReadMirror(path string) (m Mirror, digest string, err error) {
	content, err := readRegular(path, maxMirrorSize)
	if errors.Is(err, errTooLarge) {
		return Mirror{}, "", ErrMirrorInvalid
	}
	if err != nil {
		return Mirror{}, "", fmt.Errorf("read usage.json: %w", err)
	}
	m, err = decodeMirror(content)
	return m, contentDigest(content), err
}

// decodeMirror is as strict as PostHog about the two ids, which are sent, and as lenient
// as Python about the rest.
func decodeMirror(content []byte) (m Mirror, err error) {
	// A map, because a struct would also match "Anon_ID".
	if !utf8.Valid(content) || json.Unmarshal(content, &m.members) != nil {
		return Mirror{}, ErrMirrorInvalid
	}
	linked, found := m.members["linked_principal_id"]
	if json.Unmarshal(m.members["anon_id"], &m.AnonID) != nil || found && json.Unmarshal(linked, &m.PrincipalID) != nil {
		return Mirror{}, ErrMirrorInvalid
	}
	// Python takes an empty principal, like null, for "not linked".
	if !validAnonID(m.AnonID) || m.PrincipalID != "" && !validPrincipalID(m.PrincipalID) {
		return Mirror{}, ErrMirrorInvalid
	}
	return m, nil
}

// WriteMirror makes usage.json say m, unless it does already, and returns the
// digest of the content. Unknown members stay, see [Mirror.Keeping]. The directory
// must exist. Call it with the write lock held: two commands export in the order of
// their commits.
func WriteMirror(path string, m Mirror) (digest string, err error) {
	present, err := readRegular(path, maxMirrorSize)
	if found, invalid := decodeMirror(present); err == nil && invalid == nil {
		m = m.Keeping(found)
	}
	content := m.Encode()
	if err != nil || !bytes.Equal(present, content) {
		if err := WriteAtomically(path, content); err != nil {
			return "", fmt.Errorf("write usage.json: %w", err)
		}
		_ = removeTemporaries(path) // of writers that were killed before their rename
	}
	return contentDigest(content), nil
}
