package identity

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// maxIDLength is where PostHog cuts a distinct id, in characters.
const maxIDLength = 200

// validAnonID says whether id is a UUID as Python's str(uuid) writes it. The
// other forms uuid.Validate knows (braces, urn:, no dashes) nobody writes.
func validAnonID(id string) bool {
	return len(id) == len(uuid.Nil.String()) && uuid.Validate(id) == nil
}

// validPrincipalID says whether id can be one person's distinct id: PostHog
// neither cuts it nor refuses to merge into it, and a terminal can show it.
func validPrincipalID(id string) bool {
	return id != "" && id == strings.TrimSpace(id) &&
		utf8.RuneCountInString(id) <= maxIDLength &&
		!strings.ContainsFunc(id, unprintable) && !refusedByPostHog(id)
}

// unprintable also catches what invalid UTF-8 is decoded to.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// refusedByPostHog says whether id is one of the placeholders that broken
// clients send and PostHog therefore refuses in merges. It refuses some in
// any case, some in this case only, and all of them in quotes too; no
// principal looks like any of that.
func refusedByPostHog(id string) bool {
	return slices.Contains([]string{
		"anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated",
		"email", "undefined", "true", "false", "[object object]", "nan", "none", "null", "0", "",
	}, strings.ToLower(strings.TrimSpace(strings.Trim(id, `"'`))))
}
