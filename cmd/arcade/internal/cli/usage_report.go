package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/report"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
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

The file is usage.html beside the database, readable by you alone. Each report
replaces it, and erasing messages removes it. With --output, the page goes where
you say and is not opened.`,
		Example: "  arcade usage report\n  arcade usage report --output report.html\n  arcade usage report --output - > report.html",
		RunE: a.onQueue(func(ctx context.Context, q *track.Queue, _ []string) error {
			page, err := a.page(ctx, q)
			if err != nil {
				return err
			}
			return a.deliverPage(page, q, output, noBrowser)
		}),
	}
	cmd.Flags().StringVar(&output, "output", "", "write the page to this file and open nothing; - is standard output")
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "write the page and do not open it")
	_ = cmd.MarkFlagFilename("output", "html") // an error means an unknown flag
	return cmd
}

// page is the whole file: it has a limit, and half a page is worse than none.
func (a *App) page(ctx context.Context, q *track.Queue) ([]byte, error) {
	var page bytes.Buffer
	err := q.Show(ctx, outbox.Filter{}, func(s track.Snapshot, messages iter.Seq2[outbox.Message, error]) error {
		page.Reset()
		return report.Write(&page, a.reportData(s, messages, q))
	})
	return page.Bytes(), err
}

func (a *App) reportData(s track.Snapshot, messages iter.Seq2[outbox.Message, error], q *track.Queue) report.Data {
	now := a.Track.Now()
	recording := "on"
	if off := a.Track.Off(s.Consent); off != nil {
		recording = "off (" + off.By + ")"
	}
	return report.Data{
		Now: now, Version: a.Track.Version, Snapshot: s, Messages: messages, Wire: q.Wire,
		Status: [][2]string{
			{"Tracking", recording},
			{"Sent to", a.sentTo()},
			{"Last delivery", term.Ago(s.Schedule.LastSuccess, now)},
			{"Next", a.words().Outlook(s, q)},
		},
	}
}

func (a *App) deliverPage(page []byte, q *track.Queue, output string, noBrowser bool) error {
	switch output {
	case "-":
		_, err := a.Out.Write(page) // at once, see Stream
		return err
	case "":
		path := q.Page()
		err := identity.WriteAtomically(path, page)
		if errors.Is(err, fs.ErrNotExist) {
			return failed("report not written", "nothing has been recorded yet, so there is no directory for the report",
				"Run a command that is recorded, or name a file with --output.")
		}
		if err != nil {
			return pageFailure(path, err)
		}
		if err := a.print("The report is in " + path); err != nil || noBrowser {
			return err
		}
		if err := a.Browse(fileAddress(path)); err != nil {
			a.note("No browser could be started: open the file yourself.")
		}
		return nil
	default:
		if err := os.WriteFile(output, page, 0o600); err != nil {
			return pageFailure(output, err)
		}
		return a.print("The report is in " + output)
	}
}

func pageFailure(where string, err error) *failure {
	why := innermost(err).Error() // without the name of the file that was to take the other's place
	return failed("report not written", "the report cannot be written to "+where+": "+why,
		"Name another file with --output, or - for standard output.")
}

// fileAddress is a file's address for a browser. On Windows a path begins with a drive.
func fileAddress(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
