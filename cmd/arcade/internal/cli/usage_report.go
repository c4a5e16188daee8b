package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/report"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
)

func (a *App) newUsageReport() *cobra.Command {
	var output string
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show what was recorded as a page in the browser",
		Long: `Write one HTML file about what this machine recorded and what became of it,
and open it: when events were recorded, delivered, waiting or refused; how
often each command ran and failed, and how long it took; whose the events are;
and every message as it goes over the wire. The page needs no network and runs
no script.

The file is usage.html beside the database, readable by you alone; each report
replaces it, and it goes when messages are erased. With --output the page is
written where you say, and not opened.`,
		Example: "  arcade usage report\n  arcade usage report --output report.html\n  arcade usage report --output - > report.html",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("output") && output == "" {
				return wrongUsage(cmd, "no value for --output", "--output needs a file, or - for standard output")
			}
			return a.withQueue(func(q *track.Queue) error {
				page, err := a.page(cmd.Context(), q)
				if err != nil {
					return err
				}
				return a.deliverPage(page, q, output, noBrowser)
			})
		},
	}
	cmd.Flags().StringVar(&output, "output", "", "write the page to this file and open nothing; - is standard output")
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "write the page and do not open it")
	if err := cmd.MarkFlagFilename("output", "html"); err != nil { // only for a flag that does not exist
		panic(err)
	}
	return cmd
}

// page is the whole file: it has a limit, and half a page is worse than none.
func (a *App) page(ctx context.Context, q *track.Queue) ([]byte, error) {
	var page bytes.Buffer
	err := q.Show(ctx, track.Filter{}, func(s track.Snapshot, messages iter.Seq2[track.Message, error]) error {
		page.Reset()
		return report.Write(&page, a.reportData(s, messages, q))
	})
	return page.Bytes(), err
}

func (a *App) reportData(s track.Snapshot, messages iter.Seq2[track.Message, error], q *track.Queue) report.Data {
	now := a.Track.Now()
	recording := "on"
	if by := a.Track.OffBy(s); by != "" {
		recording = "off (" + by + ")"
	}
	data := report.Data{
		Now: now, Version: a.Track.Version,
		Counts: report.Counts{
			Pending: s.Counts.Pending, Delivered: s.Counts.Delivered, Dead: s.Counts.Dead, Dropped: s.Counts.Dropped,
		},
		Status: []report.Line{
			{Label: "Tracking", Text: recording},
			{Label: "Sent to", Text: a.sentTo()},
			{Label: "Last delivery", Text: term.Ago(s.Schedule.LastSuccess, now)},
			{Label: "Next", Text: a.words().Outlook(s, q)},
		},
		Keeping: "Receipts of delivered messages are kept for 7 days, the newest 500 at most.",
		AnonID:  s.AnonID, PrincipalID: s.PrincipalID,
		FailingSince: s.Schedule.FailingSince, LastError: s.Schedule.LastError,
		Messages: func(yield func(report.Message, error) bool) {
			for m, err := range messages {
				if !yield(reported(m, q), err) {
					return
				}
			}
		},
	}
	for _, p := range s.Identities {
		data.Identities = append(data.Identities, report.Identity(p))
	}
	return data
}

// reported is a message in the page's terms. A damaged one has no document.
func reported(m track.Message, q *track.Queue) report.Message {
	p := track.Properties{CommandName: "?"}
	// What is damaged is shown as far as it goes.
	_ = json.Unmarshal(m.Properties, &p)
	return report.Message{
		Seq: m.Seq, UUID: m.UUID, Alias: m.Kind == track.Alias, Command: p.CommandName,
		Failed: m.Event == track.Failed, Result: p.ErrorMessage, Duration: time.Duration(p.Duration * float64(time.Millisecond)),
		State: report.State(m.State), Who: m.DistinctID, Anonymous: m.Anonymous(),
		RecordedAt: m.RecordedAt, SettledAt: m.SettledAt, Note: m.LastError,
		Wire: func() (json.RawMessage, error) {
			document, err := q.Wire(m)
			if err != nil {
				return nil, nil
			}
			return document, nil
		},
	}
}

func (a *App) deliverPage(page []byte, q *track.Queue, output string, noBrowser bool) error {
	switch output {
	case "-":
		_, err := a.Out.Write(page) // at once, see Stream
		return err
	case "":
		path, err := keepPage(q.Page(), page)
		if err != nil {
			return pageFailure("a temporary file", err)
		}
		if err := a.say("The report is in " + path); err != nil || noBrowser {
			return err
		}
		if err := a.Browse(fileAddress(path)); err != nil {
			a.tell("No browser could be started: open the file yourself.")
		}
		return nil
	default:
		if err := replaceFile(output, page); err != nil {
			return pageFailure(output, err)
		}
		return a.say("The report is in " + output)
	}
}

func pageFailure(where string, err error) *failure {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner // without the name of the file that was to take the other's place
	}
	return failed("report not written", "the report cannot be written to "+where+": "+err.Error(),
		"Name another file with --output, or - for standard output.")
}

// keepPage writes the page beside the database, or where that cannot be done, in the directory for
// temporary files. Nobody else can read it there, either.
func keepPage(path string, page []byte) (string, error) {
	if replaceFile(path, page) == nil {
		return path, nil
	}
	file, err := os.CreateTemp("", "arcade-usage-*.html")
	if err != nil {
		return "", err
	}
	_, err = file.Write(page)
	return file.Name(), errors.Join(err, file.Close())
}

// replaceFile writes a file that only its owner can read, or replaces one, which keeps its mode:
// whoever looks sees the old content or the new. What is no file, such as a pipe, is written to.
func replaceFile(path string, content []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return writeInto(path, content)
		}
		mode = info.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".arcade-usage-*.tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, identity.GiveToOwnerOf(filepath.Dir(path), file.Name()))
	if err := errors.Join(err, file.Chmod(mode), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

func writeInto(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// fileAddress is a file's address for a browser. On Windows a path begins with a drive.
func fileAddress(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
