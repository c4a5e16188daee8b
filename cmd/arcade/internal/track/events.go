package track

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// The events. Besides them only aliases are sent, which link an anonymous id to a principal.
const (
	// Succeeded: a command ended with exit code 0.
	Succeeded = "CLI execution succeeded"
	// Failed: a command ended in any other way, including Ctrl-C and wrong usage.
	Failed = "CLI execution failed"
	// aliasEvent is PostHog's name for an alias.
	aliasEvent = "$create_alias"
)

// errorMessageLimit bounds error_message, in characters.
const errorMessageLimit = 300

// Properties is everything in an event but its id and its time. PostHog's library adds its name and version,
// Go's version and the operating system's name and version; an anonymous event carries
// $process_person_profile: false, so that PostHog makes no profile of it.
type Properties struct {
	// CommandName is the dotted path of the command, `secret.set`; `root` when none was found.
	CommandName string `json:"command_name"`
	// CLIVersion is this program's version.
	CLIVersion string `json:"cli_version"`
	// RuntimeLanguage is `go`; the Python CLI says `python`.
	RuntimeLanguage string `json:"runtime_language"`
	// RuntimeVersion is the version of Go, `go1.26.0`.
	RuntimeVersion string `json:"runtime_version"`
	// OSType is `Darwin`, `Linux` or `Windows`, as Python's platform.system() has it.
	OSType string `json:"os_type"`
	// OSRelease is the kernel's release, as Python's platform.release() has it.
	OSRelease string `json:"os_release"`
	// Duration is how long the command took, in milliseconds with two decimals.
	Duration float64 `json:"duration"`
	// DurationMS is the same in whole milliseconds, as the Python CLI sends it.
	DurationMS int64 `json:"duration_ms"`
	// OrgID and ProjectID are the login's, in events that belong to it.
	OrgID     string `json:"org_id,omitempty"`
	ProjectID string `json:"project_id,omitempty"`
	// ErrorMessage is why the command failed, in fixed words.
	ErrorMessage string `json:"error_message,omitempty"`
}

// Command is a command that has ended.
type Command struct {
	// Name is its dotted path, `secret.set`.
	Name         string
	Began, Ended time.Time
	// Failure is why it failed, in fixed words; "" for a success.
	Failure string
	// UsesLogin says that it used or looked for the login, even with a key in the environment.
	UsesLogin bool
	// Change is what it did to the identity, nil for nothing.
	Change identity.Input
}

// event makes a command's event. It leaves out the login's project if the command used a key from the environment
// or a self-hosted installation, and for a logout.
func (t *Tracker) event(c Command, u used) outbox.Message {
	took := c.Ended.Sub(c.Began)
	p := Properties{
		CommandName:     c.Name,
		CLIVersion:      t.Version,
		RuntimeLanguage: "go",
		RuntimeVersion:  runtime.Version(),
		OSType:          strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:],
		OSRelease:       osRelease(),
		Duration:        math.Round(float64(took)/float64(time.Millisecond)*100) / 100,
		DurationMS:      took.Round(time.Millisecond).Milliseconds(),
		ErrorMessage:    c.Failure,
	}
	if reason := []rune(c.Failure); len(reason) > errorMessageLimit {
		p.ErrorMessage = string(reason[:errorMessageLimit])
	}
	switch c.Change.(type) {
	case identity.Logout, identity.Apart: // the file holds the next login by now
	default:
		if u.key == "" && !u.apart {
			p.OrgID, p.ProjectID = u.file.OrgID, u.file.ProjectID
		}
	}
	event := Succeeded
	if c.Failure != "" {
		event = Failed
	}
	encoded, err := json.Marshal(p)
	if err != nil { // a struct of strings and a finite number
		panic(err)
	}
	return outbox.Message{
		UUID: uuid.Must(uuid.NewV7()).String(), // not left to the outbox: ARCADE_USAGE_DEBUG names it
		Kind: outbox.Capture, Event: event, Properties: encoded,
		RecordedAt: c.Ended.Truncate(time.Millisecond),
	}
}
