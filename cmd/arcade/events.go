package main

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"time"
)

// The events. Besides them only aliases are sent, which say that an anonymous id has become a
// known one.
const (
	// eventSucceeded: a command ended with exit code 0.
	eventSucceeded = "CLI execution succeeded"
	// eventFailed: a command ended in any other way, Ctrl-C and wrong usage included.
	eventFailed = "CLI execution failed"
	// aliasEvent is PostHog's name for an alias.
	aliasEvent = "$create_alias"
)

// errorMessageLimit bounds error_message, in characters.
const errorMessageLimit = 300

// properties is everything an event says, besides who and when. PostHog's library adds its
// name and version, Go's version and the operating system's name and version; an anonymous
// event carries $process_person_profile: false, so that no profile is made of it.
type properties struct {
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
	// ErrorMessage says why a command failed, in fixed words (see failure).
	ErrorMessage string `json:"error_message,omitempty"`
}

// describe makes the event of a command that took the given time and ended with err.
func (a *app) describe(command string, took time.Duration, err error) (event string, encoded json.RawMessage) {
	p := properties{
		CommandName:     command,
		CLIVersion:      a.version(),
		RuntimeLanguage: "go",
		RuntimeVersion:  runtime.Version(),
		OSType:          osType(runtime.GOOS),
		OSRelease:       osRelease(),
		Duration:        math.Round(float64(took)/float64(time.Millisecond)*100) / 100,
	}
	event = eventSucceeded
	if err != nil {
		event = eventFailed
		p.ErrorMessage = shorten(asFailure(err).words, errorMessageLimit)
	}
	encoded, err = json.Marshal(p)
	if err != nil { // a struct of strings and a finite number
		panic(err)
	}
	return event, encoded
}

func osType(goos string) string {
	switch goos {
	case "darwin":
		return "Darwin"
	case "windows":
		return "Windows"
	default:
		return strings.ToUpper(goos[:1]) + goos[1:]
	}
}

// shorten cuts a text to n characters.
func shorten(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n])
	}
	return text
}
