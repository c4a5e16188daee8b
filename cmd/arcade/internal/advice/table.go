// Package advice is the one table of what can prevent recording, delivery or any other request, and of
// what to do about it.
package advice

import (
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Issues is where users report bugs.
const Issues = "https://github.com/ArcadeAI/arcade-cli/issues"

// Family is the reasons with the same advice.
type Family struct {
	Advice  string // what to do, for programs
	Do      string // the same for people
	Reasons []Reason
}

// Reason is why something stands still.
type Reason struct {
	ID   string // for programs
	What string // for people
	// shows says that what was seen, such as an HTTP status, follows What.
	shows bool
	// err is the error with this reason; nil for the code of a delivery or of a cause.
	err error
}

const (
	again        = "{again}" // of a Server
	shows, plain = true, false
)

// Table is all of it. {file}, {owner}, {command}, {switch} and {login} stand for what they name, {server} and
// {option} for what a Server says. Where two errors fit, the first one counts.
func Table() []Family {
	return []Family{
		{"wait", again, []Reason{
			{outbox.CodeOffline, "{server} cannot be reached", shows, nil},
			{outbox.CodeTimeout, "{server} does not answer in time", plain, nil},
			{outbox.CodeBroken, "the connection to {server} breaks before the answer is complete", shows, nil},
			{outbox.CodeServer, "{server} has trouble of its own", shows, nil},
			{outbox.CodeQuota, "{server}'s quota is used up", plain, nil},
			{outbox.CodeRetryAfter, "{server} asks to be left alone for a while", shows, nil},
		}},
		{"check_proxy", "Check HTTPS_PROXY and NO_PROXY.", []Reason{
			{outbox.CodeProxy, "the proxy lets nothing through to {server}", shows, nil},
		}},
		{"set_proxy_password", "Set HTTPS_PROXY to http://user:password@proxy:port.", []Reason{
			{outbox.CodeProxyPassword, "the proxy asks for a password", plain, nil},
		}},
		{"trust_authority", "If a proxy opens TLS, let SSL_CERT_FILE name its certificate; except on Linux, add it to the system's.", []Reason{
			{outbox.CodeAuthority, "{server}'s certificate was signed by an unknown authority", plain, nil},
		}},
		{"check_clock", "Check this machine's clock, and {option}.", []Reason{
			{outbox.CodeCertificate, "the certificate that is shown for {server} is not valid", shows, nil},
		}},
		{"log_in_to_network", "Log in to this network with a browser.", []Reason{
			{outbox.CodePortal, "a page of this network answers in {server}'s place", shows, nil},
		}},
		{"check_host", "Check {option} and any proxy, or log in to this network with a browser.", []Reason{
			{outbox.CodeCertificateName, "the certificate that is shown for {server} is not valid", shows, nil},
			{outbox.CodeRedirect, "{server}'s address leads elsewhere", shows, nil},
			{outbox.CodeForeign, "what answers is not {server}", shows, nil},
		}},
		{"correct_host", "Set ARCADE_USAGE_HOST to one like https://us.i.posthog.com, or remove it.", []Reason{
			{outbox.CodeAddress, "the address of PostHog cannot be right", shows, nil},
		}},
		{"correct_key", "Correct ARCADE_USAGE_KEY, or remove it.", []Reason{
			{outbox.CodeKey, "PostHog does not take the key", shows, nil},
		}},
		{"set_key", "Set ARCADE_USAGE_KEY; only release builds bring a key along.", []Reason{
			{outbox.CodeNoKey, "no PostHog key is set, so nothing is sent", plain, nil},
		}},
		{"take_longer", "Run 'arcade usage flush --timeout 60s'.", []Reason{
			{outbox.CodeTimeUp, "the time was not enough", plain, nil},
			{"flusher_busy", "another flusher was at work until the time was up", plain, outbox.ErrBusy},
		}},
		{"log_in", "Run '{login}'.", []Reason{
			{"login_refused", "this key is not valid any more", plain, track.ErrLoginRefused},
		}},
		{"wait", "The next delivery asks again.", []Reason{
			{"login_unknown", "Arcade Cloud has not said yet who you are", plain, track.ErrLoginUnknown},
		}},
		{"look_at_dead", "'arcade usage inspect --state dead' shows them, 'arcade usage retry' sends them once more.", []Reason{
			{"dead", "PostHog has refused messages for good", plain, track.ErrDead},
		}},
		{"enable", "'arcade usage enable' switches it on.", []Reason{
			{"disabled", "tracking is off ({switch}): nothing is recorded or sent", plain, outbox.ErrOff},
		}},
		{"unset_variable", "Without {switch} it is on, unless 'arcade usage disable' was run.", []Reason{
			{"variable", "tracking is off ({switch}): nothing is recorded or sent", plain, track.ErrVariable},
		}},
		{"free_space", "Free some space: until then nothing is recorded. What waits is kept.", []Reason{
			{"disk_full", "the disk is full", plain, outbox.ErrFull},
		}},
		{"raise_limit", "Raise the limit with 'ulimit -n', or close what is open.", []Reason{
			{"descriptors", "too few files can be opened", plain, outbox.ErrDescriptors},
		}},
		{"make_writable", "Make it writable, or set ARCADE_WORK_DIR to a directory that is.", []Reason{
			{"read_only", "the disk is read-only", plain, outbox.ErrReadOnly},
		}},
		{"change_owner", "Run '{command}'.", []Reason{
			{foreignOwner, "{file} belongs to {owner}", plain, nil},
		}},
		{"permit", "Make it readable and writable for you, or set ARCADE_WORK_DIR to another directory.", []Reason{
			{"permission", "you may not use {file}", plain, outbox.ErrPermission},
		}},
		{"move_away", "Move it away, or set ARCADE_WORK_DIR to another directory.", []Reason{
			{"not_directory", "{file} is not a directory", plain, outbox.ErrNotDirectory},
			{"dangling_link", "{file} is a link that leads nowhere", plain, outbox.ErrDangling},
			{"not_file", "{file} is not a file", plain, outbox.ErrNotFile},
			{"foreign_database", "{file} is another program's database", plain, outbox.ErrForeign},
		}},
		{"update", "Update arcade. Until then this version neither records nor delivers.", []Reason{
			{"newer_database", "the usage database was written by a newer arcade", plain, outbox.ErrNewer},
		}},
		{"clear", "'arcade usage clear' erases them, and what waits; then it is recorded again.", []Reason{
			{"damaged_copies", "the usage database is damaged, and three copies of earlier damage are kept, so nothing is recorded",
				plain, outbox.ErrCopies},
		}},
		{"wait", "The first command or delivery that meets the damage replaces it, and keeps what can be read.", []Reason{
			{"damaged_database", "the usage database is damaged", plain, outbox.ErrDamaged},
		}},
		{"check_disk", "Try again; if it stays so, check the disk, or set ARCADE_WORK_DIR to a directory on another one.", []Reason{
			{"unreadable_database", "{file} could not be read or written", shows, outbox.ErrUnreadable},
		}},
		{"try_again", "Try again; if it stays so, end the process that has {file} open.", []Reason{
			{"locked_database", "another process holds the usage database", plain, outbox.ErrLocked},
		}},
		{"flush", "Run 'arcade usage flush' to deliver what waits.", []Reason{
			{"queue_full", "the queue is full, so no dead message can wait again", plain, outbox.ErrQueueFull},
			{"no_process", "no process can be started in the background", plain, outbox.ErrNoProcess},
		}},
		{"report", "Please report it at " + Issues + ".", []Reason{
			{outbox.CodeSink, "arcade has sent something wrong", shows, nil},
			{unforeseen, "the usage database cannot be used", shows, nil},
		}},
	}
}

const (
	foreignOwner = "foreign_owner" // an outbox.ErrPermission with a known owner
	unforeseen   = "database"      // an error that is not in the table
)
