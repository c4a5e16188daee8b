package outbox

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/posthog/posthog-go"
)

// Limits of one request. PostHog's is 500,000 bytes before compression, and posthog-go would
// split a larger batch into two that overtake each other.
const (
	maxBatch      = 500
	maxBatchBytes = 450_000
)

// requestTimeout bounds one request from the first byte to the last of the answer.
const requestTimeout = 5 * time.Second

// sender puts batches on posthog-go's wire. What it has loaded waits at its door, compressed and
// ready, until it is sent or dropped.
//
// A posthog client uploads when its batch size is reached, and only then at once, so there is a
// client for each size that occurs: usually one for full batches and one for the rest.
type sender struct {
	endpoint string
	key      string
	line     *line
	clients  map[int]posthog.Client
	loaded   chan verdict // nil while nothing is; what is wrong with the batch, accepted for nothing
	size     int          // of what is loaded
	passes   chan pass    // lets one request through; closed when what waits is given up
	results  chan error   // posthog-go's word on each message; nil is success
}

func newSender(endpoint, key string, line *line) *sender {
	s := &sender{endpoint: strings.TrimRight(endpoint, "/"), key: key, line: line}
	s.renew()
	return s
}

// load makes the batch ready to be sent, in the background. A message that cannot be put on the
// wire is refused here, like one that PostHog refuses, so that halving finds it and its neighbours
// arrive.
func (s *sender) load(batch []Message) {
	loaded := make(chan verdict, 1)
	s.loaded, s.size = loaded, len(batch)
	go func() {
		messages, v := wireAll(batch)
		if v.outcome == accepted {
			v = s.enqueue(messages)
		}
		loaded <- v
	}()
}

func wireAll(batch []Message) ([]posthog.Message, verdict) {
	messages := make([]posthog.Message, len(batch))
	for i, m := range batch {
		message, err := wire(m)
		if err != nil {
			return nil, verdict{outcome: refused, reason: "cannot be sent: not a valid message"}
		}
		messages[i] = message
	}
	return messages, verdict{outcome: accepted}
}

func (s *sender) enqueue(messages []posthog.Message) verdict {
	client, err := s.client(len(messages))
	if err != nil {
		return verdict{outcome: later, reason: "ARCADE_USAGE_HOST is not a valid address"}
	}
	for _, message := range messages {
		if err := client.Enqueue(message); err != nil {
			return verdict{outcome: refused, reason: "not a message that PostHog takes"}
		}
	}
	return verdict{outcome: accepted}
}

// send lets what is loaded through, in one request, unless wanted, which is asked at the last
// moment, returns a verdict. It returns what became of the batch, at the latest when ctx ends.
func (s *sender) send(ctx context.Context, wanted func(context.Context) error) verdict {
	v := <-s.loaded
	s.loaded = nil
	if v.outcome == accepted {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		s.passes <- pass{ctx, wanted}
		v = s.await(ctx)
	}
	if v.outcome != accepted {
		s.renew()
	}
	return v
}

// await collects posthog-go's word on every message: an upload that was lost inside the
// library has no callback, and must not pass for a delivery.
func (s *sender) await(ctx context.Context) verdict {
	for range s.size {
		select {
		case err := <-s.results:
			if err != nil {
				return judgeError(err)
			}
		case <-ctx.Done():
			return verdict{outcome: later, reason: describe(ctx.Err())}
		}
	}
	return verdict{outcome: accepted}
}

// judgeError recovers the line's verdict from the error that posthog-go passed on.
func judgeError(err error) verdict {
	var v verdict
	switch {
	case errors.As(err, &v):
		return v
	case errors.Is(err, posthog.ErrMessageTooBig):
		return verdict{outcome: refused, reason: "larger than PostHog takes"}
	default:
		return verdict{outcome: later, reason: describe(err)}
	}
}

// drop gives up what is loaded, and the clients.
func (s *sender) drop() {
	if s.loaded != nil {
		<-s.loaded
		s.loaded = nil
	}
	s.renew()
}

// renew gives up the clients, whose callbacks may still come, and the channels with them. What
// waits at the door is turned back. Closing a client waits for its uploads (posthog-go polls each
// 100 ms), so nobody waits for the closing.
func (s *sender) renew() {
	if s.passes != nil {
		select {
		case <-s.passes: // one that was not used must let nothing else through
		default:
		}
		close(s.passes)
	}
	for _, client := range s.clients {
		go client.Close()
	}
	s.clients = map[int]posthog.Client{}
	s.passes = make(chan pass, 1)
	s.results = make(chan error, maxBatch)
}

func (s *sender) client(size int) (posthog.Client, error) {
	if client := s.clients[size]; client != nil {
		return client, nil
	}
	client, err := posthog.NewWithConfig(s.key, posthog.Config{
		Endpoint:  s.endpoint,
		Transport: door{s.passes, s.line},
		BatchSize: size,
		// Room for one batch; the default is ten thousand messages, 0.7 MB for each client.
		MaxQueueSize: size, MaxEnqueuedRequests: 1,
		Interval:    time.Hour, // never by time: half a batch would overtake the other half
		Compression: posthog.CompressionGzip,
		MaxRetries:  posthog.Ptr(0), // retries are the outbox's
		RetryAfter:  func(int) time.Duration { return 0 },
		// The wait at the door counts; a request is bounded by its pass.
		BatchUploadTimeout: time.Hour,
		IsServer:           posthog.Ptr(false),
		Logger:             silent{},
		Callback:           callback(s.results),
	})
	if err != nil {
		return nil, err
	}
	s.clients[size] = client
	return client, nil
}

// callback hands posthog-go's word on to await. The channel holds a whole batch, so that
// nothing waits here.
type callback chan<- error

func (c callback) Success(posthog.APIMessage)              { c <- nil }
func (c callback) Failure(_ posthog.APIMessage, err error) { c <- err }

// wire turns a message into posthog-go's. It checks what the library would silently replace
// or choke on; an error means that the row can never be sent.
func wire(m Message) (posthog.Message, error) {
	if err := uuid.Validate(m.UUID); err != nil {
		return nil, errors.New("no valid uuid")
	}
	if year := m.RecordedAt.Year(); year < 0 || year > 9999 { // RFC 3339 has no others
		return nil, errors.New("no valid time")
	}
	if m.Kind == Alias {
		alias := posthog.Alias{Uuid: m.UUID, DistinctId: m.DistinctID, Alias: m.AnonID, Timestamp: m.RecordedAt}
		return alias, alias.Validate()
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(m.Properties, &values); err != nil {
		return nil, errors.New("properties are not a JSON object")
	}
	properties := make(posthog.Properties, len(values)+1)
	for name, value := range values {
		properties[name] = value
	}
	if m.Anonymous() { // on an alias it would make PostHog drop the alias
		properties["$process_person_profile"] = false
	}
	capture := posthog.Capture{
		Uuid: m.UUID, DistinctId: m.DistinctID, Event: m.Event, Timestamp: m.RecordedAt, Properties: properties,
	}
	return capture, capture.Validate()
}

// wireBound returns an upper bound of a message's size on the wire, in bytes: names and what
// posthog-go adds take under 400, and a JSON encoder may turn one byte (<, >, &, not UTF-8)
// into six.
func wireBound(m Message) int {
	size := 400 + len(m.Event) + len(m.DistinctID) + len(m.AnonID) + len(m.Properties)
	for _, b := range m.Properties {
		if b == '<' || b == '>' || b == '&' || b >= 0x80 {
			size += 5
		}
	}
	return size
}

// WireJSON returns the messages exactly as posthog-go puts them on the wire, without sending
// anything: the library writes a request, and the request is read instead of sent. An
// undecided message appears as it would if it went out anonymously now; one that can never be
// sent is nil.
func WireJSON(ctx context.Context, messages []Message) ([]json.RawMessage, error) {
	reader := &wireReader{}
	s := newSender("http://localhost", "none", &line{next: reader, now: time.Now, point: func(string) {}})
	defer s.drop()
	var list []json.RawMessage
	for len(messages) > 0 {
		batch := cut(messages, maxBatch)
		messages = messages[len(batch):]
		written, err := reader.read(ctx, s, batch)
		if err != nil {
			return nil, err
		}
		list = append(list, written...)
	}
	return list, nil
}

// read lets posthog-go write those of the batch that can be sent.
func (w *wireReader) read(ctx context.Context, s *sender, batch []Message) ([]json.RawMessage, error) {
	list := make([]json.RawMessage, len(batch))
	var sendable []Message
	var places []int
	for i, m := range batch {
		if m.DistinctID == "" {
			m.DistinctID = m.AnonID
		}
		if _, err := wire(m); err == nil {
			sendable = append(sendable, m)
			places = append(places, i)
		}
	}
	if len(sendable) == 0 {
		return list, nil
	}
	s.load(sendable)
	if v := s.send(ctx, nil); v.outcome != accepted {
		return nil, v
	}
	for i, place := range places {
		list[place] = w.batch[i]
	}
	return list, nil
}

// wireReader is a transport that keeps the batch and acknowledges it.
type wireReader struct {
	batch []json.RawMessage
}

func (w *wireReader) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := gzip.NewReader(request.Body)
	if err != nil {
		return nil, err
	}
	var payload struct {
		Batch []json.RawMessage `json:"batch"`
	}
	if err := json.NewDecoder(body).Decode(&payload); err != nil {
		return nil, err
	}
	w.batch = payload.Batch
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"status":"Ok"}`))}, nil
}

// silent drops posthog-go's log: it quotes addresses and answers.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Logf(string, ...any)   {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
