package advice

import (
	"cmp"
	"errors"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// Line is what the table has to say of one thing that stands still. All commands, their --json and
// docs/usage.md have these words and no others for it.
type Line struct {
	// Reason and Advice identify why and what to do for programs, What and Do say it to people.
	Reason, Advice, What, Do string
}

// Sentence is both as they stand in a text.
func (line Line) Sentence() string {
	return strings.ToUpper(line.What[:1]) + line.What[1:] + ". " + line.Do
}

// Server is what a request goes to, in the words of a text.
type Server struct {
	Name   string // as it stands in a sentence, such as "the Engine"
	Option string // what says where it is, such as "--host"
	Again  string // what to do about a network that does not work now
}

const nothingIsLost = "Nothing is lost. "

// PostHog is where deliveries go.
func PostHog() Server {
	return Server{Name: "PostHog", Option: "ARCADE_USAGE_HOST", Again: nothingIsLost + "A later command delivers."}
}

// Fill puts what a server is called into a text of the table.
func (s Server) Fill(text string) string {
	return strings.NewReplacer("{server}", s.Name, "{option}", s.Option, again, s.Again).Replace(text)
}

// Of is what the table has to say of a cause; host, which may be "", is where the server is.
func (s Server) Of(cause httpsend.Cause, host string) Line {
	return s.line(cause.Code, nil, host, cause.Reason)
}

// The reasons of a server that has answered and may do better in a while.
const (
	Trouble = outbox.CodeServer
	Busy    = outbox.CodeRetryAfter
)

// Answer is what the table has to say of an answer that came in the server's place, or of one that is in trouble. It
// is false for any other answer.
func (s Server) Answer(status int, page bool) (line Line, known bool) {
	cause, known := httpsend.Answer{Status: status, Page: page}.Cause()
	if !known {
		return Line{}, false
	}
	return s.Of(cause, ""), true
}

// line fills in the line of a code, or of an error. Behind it stand the host and, where the table wants it, what was
// seen. What a later version has left in the database is shown as it is.
func (s Server) line(code string, err error, host, seen string) Line {
	for _, family := range Table() {
		for _, reason := range family.Reasons {
			if reason.ID != code && (reason.err == nil || !errors.Is(err, reason.err)) {
				continue
			}
			what := s.Fill(reason.What)
			if !reason.shows {
				seen = ""
			}
			if both := strings.Trim(host+": "+seen, ": "); both != "" {
				what += " (" + both + ")"
			}
			return Line{reason.ID, family.Advice, what, s.Fill(family.Do)}
		}
	}
	return Line{Reason: code, Advice: "wait", What: cmp.Or(seen, "the reason is unknown"), Do: s.Again}
}
