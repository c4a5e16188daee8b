package secretstest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Request is one that arrived.
type Request struct {
	Method        string
	Path          string // as it stood on the wire, still escaped
	Query         string
	Authorization string
	Key           string // the key of a PUT, the id of a DELETE
	Body          string

	scope string // the path of the collection, "" for another path
	json  bool   // it says that its body is JSON
}

// Mode is the way in which a [Fault] goes wrong.
type Mode string

// The modes of a [Fault]. All that have words in them repeat what was sent.
const (
	Status      Mode = "status"       // Fault.Status, with an error text
	Body        Mode = "body"         // Fault.Status, or 200, with Fault.Body as JSON
	Reset       Mode = "reset"        // the connection is reset instead of an answer
	HangUp      Mode = "hang up"      // the connection is closed instead of an answer
	Hang        Mode = "hang"         // no answer, until the client or the test gives up
	Redirect    Mode = "redirect"     // 307 to Fault.Location
	BadRedirect Mode = "bad redirect" // 307 to something that is no address
	NotHTTP     Mode = "not http"     // a status line that is none
	ShortBody   Mode = "short body"   // 200, and less than the length that was announced
	SlowBody    Mode = "slow body"    // 200, the beginning of a body, and then nothing
	Page        Mode = "page"         // 200 with a web page, as a captive portal answers
)

// Fault is what goes wrong with matching requests.
type Fault struct {
	Mode     Mode
	Method   string // "" matches all
	Key      string // the key of a PUT or the id of a DELETE; "" matches all
	Times    int    // how often; 0 means always
	Commit   bool   // the request is obeyed first, only the answer goes wrong
	Status   int    // of Mode Status and Body
	Location string // of Mode Redirect
	Body     string // of Mode Body

	Challenge  string // WWW-Authenticate; "" means none
	RetryAfter string // a header beside any answer that has headers; "" means none

	taken int
}

// take is called with the engine's lock held.
func (f *Fault) take(req Request) bool {
	spent := f.Times > 0 && f.taken == f.Times
	if spent || f.Method != "" && f.Method != req.Method || f.Key != "" && f.Key != req.Key {
		return false
	}
	f.taken++
	return true
}

func (f *Fault) play(w http.ResponseWriter, r *http.Request, released <-chan struct{}, req Request) {
	words := strings.NewReplacer("\r", " ", "\n", " ").Replace(echo(req))
	for name, value := range map[string]string{"Retry-After": f.RetryAfter, "WWW-Authenticate": f.Challenge, "Location": f.Location} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	switch f.Mode {
	case Status:
		refuse(w, f.Status, req)
	case Body:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
		fmt.Fprint(w, f.Body)
	case Redirect:
		w.WriteHeader(http.StatusTemporaryRedirect)
	case BadRedirect:
		w.Header().Set("Location", "http://["+words)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Page:
		fmt.Fprintf(w, "<html><body>Please sign in. %s</body></html>", words)
	case ShortBody:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"items": [`)
	case SlowBody, Hang:
		if f.Mode == SlowBody {
			fmt.Fprint(w, `{"items": [`)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-released:
		}
	case HangUp:
		panic(http.ErrAbortHandler)
	case Reset, NotHTTP: // net/http would let no handler say these
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		if tcp, ok := conn.(*net.TCPConn); ok && f.Mode == Reset {
			_ = tcp.SetLinger(0)
			return
		}
		fmt.Fprintf(conn, "%s\r\n\r\n", words)
	}
}

// refuse answers with an error that repeats all that was sent.
func refuse(w http.ResponseWriter, status int, req Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	document, _ := json.Marshal(map[string]string{"name": "error", "message": echo(req)})
	fmt.Fprintln(w, string(document))
}

// echo is everything a careless server might put into its words.
func echo(req Request) string {
	return fmt.Sprintf("cannot %s %s with %s: %s", req.Method, req.Path, req.Authorization, req.Body)
}
