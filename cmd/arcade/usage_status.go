package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func (a *app) newUsageStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Tell whether usage is recorded, where it goes and what is next",
		Example: "  arcade usage status\n  arcade usage status --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.status(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	return cmd
}

// status is what `usage status --json` prints. Times are UTC, null when there is none.
type status struct {
	Tracking      bool    `json:"tracking"`
	DecidedBy     string  `json:"decided_by"`
	AnonID        string  `json:"anon_id"`
	PrincipalID   *string `json:"linked_principal_id"`
	Pending       int     `json:"pending"`
	Delivered     int     `json:"delivered"`
	Dead          int     `json:"dead"`
	Dropped       int     `json:"dropped"`
	Erased        int     `json:"erased"`
	Host          string  `json:"host"`
	KeySet        bool    `json:"key_set"`
	LastDelivery  *string `json:"last_delivery"`
	NextAttempt   *string `json:"next_attempt"` // null: with the next command
	Failures      int     `json:"failures"`
	LastError     *string `json:"last_error"`
	Flusher       bool    `json:"flusher_running"`
	File          string  `json:"file"`
	SizeBytes     int64   `json:"size_bytes"` // with the WAL
	Schema        int     `json:"schema"`
	DatabaseError *string `json:"database_error"`

	advice string // what to do about DatabaseError
}

func (a *app) status(ctx context.Context, asJSON bool) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	box := a.outbox(home)
	s, err := a.look(ctx, box, outbox.Filter{Limit: 1})
	st := a.newStatus(s, box, err)
	if asJSON {
		return a.printJSON(st)
	}
	const indent = 15 // the widest label, its colon and a blank
	t := a.terminal(a.out)
	t.width -= indent
	for _, line := range a.statusLines(s, st, box, t) {
		value := strings.ReplaceAll(t.wrap(line[1]), "\n", "\n"+strings.Repeat(" ", indent))
		if _, err := fmt.Fprintf(a.out, "%-*s%s\n", indent, line[0]+":", value); err != nil {
			return err
		}
	}
	return nil
}

// statusLines are the labels and values for a person.
func (a *app) statusLines(s snapshot, st status, box *outbox.Outbox, t terminal) [][2]string {
	if st.DatabaseError != nil {
		return [][2]string{
			{"Database", *st.DatabaseError},
			{"Next", st.advice},
			{"Tracking", either(st.Tracking, "on", "off") + " (" + st.DecidedBy + "), but nothing can be recorded or sent"},
			{"File", a.tilde(st.File) + " (" + size(st.SizeBytes) + ")"},
		}
	}
	return [][2]string{
		{"Tracking", either(st.Tracking, "on", "off") + " (" + st.DecidedBy + ")"},
		{"Identity", a.headline(s, t, s.state.PrincipalID)},
		{"Messages", messagesInWords(st)},
		{"Sent to", st.Host},
		{"Key", either(st.KeySet, "set", "not set: events are kept, not sent")},
		{"Last delivery", ago(s.schedule.LastSuccess, a.now())},
		{"Next", a.outlook(s, box)},
		{"Flusher", either(st.Flusher, "running", "not running")},
		{"File", fmt.Sprintf("%s (%s, schema %d)", a.tilde(st.File), size(st.SizeBytes), st.Schema)},
	}
}

// messagesInWords leaves out what hardly anybody ever has.
func messagesInWords(st status) string {
	text := fmt.Sprintf("%d pending, %d delivered lately, %d dead", st.Pending, st.Delivered, st.Dead)
	if st.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped by caps", st.Dropped)
	}
	if st.Erased > 0 {
		text += fmt.Sprintf(", %d erased", st.Erased)
	}
	return text
}

func either(yes bool, one, other string) string {
	if yes {
		return one
	}
	return other
}

// tilde shortens a path below the home directory, as shells do.
func (a *app) tilde(path string) string {
	if rest, ok := strings.CutPrefix(path, a.env("HOME")+string(filepath.Separator)); ok && a.env("HOME") != "" {
		return filepath.Join("~", rest)
	}
	return path
}

func (a *app) newStatus(s snapshot, box *outbox.Outbox, problem error) status {
	switches := a.switches()
	st := status{
		Tracking: switches.forced || switches.on && s.consent.On,
		AnonID:   s.state.AnonID, PrincipalID: orNull(s.state.PrincipalID),
		Pending: s.counts.Pending, Delivered: s.counts.Delivered, Dead: s.counts.Dead,
		Dropped: s.counts.Dropped, Erased: s.counts.Erased,
		Host: bareAddress(a.postHogHost()), KeySet: a.postHogKey() != "",
		LastDelivery: orNull(rfc3339(s.schedule.LastSuccess)), NextAttempt: orNull(rfc3339(s.schedule.Next(a.now()))),
		Failures: s.schedule.Failures, LastError: orNull(s.schedule.LastError),
		Flusher: box.FlusherRunning(), File: box.Path(), SizeBytes: fileSize(box.Path()) + fileSize(box.Path()+"-wal"),
		Schema: s.schema,
	}
	switch {
	case switches.by != "":
		st.DecidedBy = switches.by
	case s.consent.Since.IsZero():
		st.DecidedBy = "default"
	case s.consent.On:
		st.DecidedBy = "default, or arcade usage enable"
	default:
		st.DecidedBy = "arcade usage disable"
	}
	if problem != nil {
		f := asFailure(problem)
		st.DatabaseError, st.advice = &f.what, f.hint
	}
	return st
}

// bareAddress is what may be shown of an address: no user name and password, and no query, where
// tokens stand.
func bareAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "not a valid address"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d kB", (bytes+1023)/1024)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
}
