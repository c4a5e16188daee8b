package advice

import (
	"cmp"
	"errors"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// Line is the table's entry for one obstacle. All commands, their --json and docs/usage.md use these words for it and
// no others.
type Line struct {
	// What is the obstacle and Do what to do about it, for people; Reason and Advice are their identifiers for programs.
	Reason, Advice, What, Do string
}

// Sentence is both for people, as they stand in a text.
func (line Line) Sentence() string {
	return strings.ToUpper(line.What[:1]) + line.What[1:] + ". " + line.Do
}

// Server is what a request goes to, in the words of a text.
type Server struct {
	Name   string // in a sentence, such as "the Engine"
	Option string // what sets its address, such as "--host"
	Again  string // what to do when the network does not work now
}

const nothingIsLost = "Nothing is lost. "

// PostHog is where deliveries go.
func PostHog() Server {
	return Server{Name: "PostHog", Option: "ARCADE_USAGE_HOST", Again: nothingIsLost + "A later command delivers."}
}

// Fill replaces the placeholders for a server in a text of the table.
func (s Server) Fill(text string) string {
	return strings.NewReplacer("{server}", s.Name, "{option}", s.Option, again, s.Again).Replace(text)
}

// Of is the table's line for a cause. Host is where the server is, "" for no host in the line.
func (s Server) Of(cause httpsend.Cause, host string) Line {
	return s.line(cause.Code, nil, host, cause.Reason)
}

// The reasons of a server that has answered and may do better in a while.
const (
	Trouble = outbox.CodeServer
	Busy    = outbox.CodeRetryAfter
)

// Answer is the table's line for an answer that came in the server's place, or that of a server in trouble. It is false
// for any other answer.
func (s Server) Answer(status int, page bool) (line Line, known bool) {
	cause, known := httpsend.Answer{Status: status, Page: page}.Cause()
	if !known {
		return Line{}, false
	}
	return s.Of(cause, ""), true
}

// line fills in the line of a code or an error, followed by the host and, where the table wants it, by what was seen.
// A code of a later version, from the database, is shown as it is.
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
