// Package machine tells machines apart.
package machine

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// NewMark returns a mark of the machine with this id: a salt, and a hash of both, so that neither the database nor a copy of it tells
// which machine it was.
func NewMark(id string) string {
	salt := rand.Text()
	return salt + ":" + hashID(salt, id)
}

// IsMark reports whether a mark is that of the machine with this id.
func IsMark(mark, id string) bool {
	salt, hash, found := strings.Cut(mark, ":")
	return found && hash == hashID(salt, id)
}

func hashID(salt, id string) string {
	sum := sha256.Sum256([]byte("outbox machine\x00" + salt + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}
