package outbox_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// modelProcess is set in the processes that TestRandomOperationsAgreeWithAModel starts and that are killed: what
// they do, in JSON.
const modelProcess = "OUTBOX_MODEL_PROCESS"

// ARCADE_TORTURE_ROUNDS sets the length, in about a quarter of the kills, and ARCADE_TORTURE_SEED repeats the
// plan of a run, as in the tests under fire.
func TestRandomOperationsAgreeWithAModel(t *testing.T) {
	if plan := os.Getenv(modelProcess); plan != "" {
		runModelProcess(plan)
		return
	}
	stories, seed := 3, uint64(time.Now().UnixNano())
	if n, err := strconv.Atoi(os.Getenv("ARCADE_TORTURE_ROUNDS")); err == nil {
		stories = max(n/4, 1)
	}
	if n, err := strconv.ParseUint(os.Getenv("ARCADE_TORTURE_SEED"), 10, 64); err == nil {
		seed = n
	}
	operations, kills := 0, 0
	for i := range stories {
		t.Run(fmt.Sprintf("story %d of seed %d", i, seed), func(t *testing.T) {
			m := newModel(t, rand.New(rand.NewPCG(seed, uint64(i))))
			for range 60 {
				m.operate()
			}
			m.end()
			operations, kills = operations+m.operations, kills+m.kills
		})
	}
	t.Logf("%d operations, %d kills", operations, kills)
}

// model is what a queue must hold. Each operation is done to both, and then the two are compared.
type model struct {
	*testing.T
	rng    *rand.Rand
	dir    string
	box    *outbox.Outbox
	rows   map[string]outbox.Message // by uuid
	bytes  map[string]string         // of each message that was sent: always the same
	sent   []string                  // uuids in the order in which they were first sent
	read   int                       // bytes of the journal
	serial int                       // of the last message

	operations, kills int
}

func newModel(t *testing.T, rng *rand.Rand) *model {
	m := &model{T: t, rng: rng, dir: t.TempDir(), rows: map[string]outbox.Message{}, bytes: map[string]string{}}
	box, err := openModel(m.dir, rand.New(rand.NewPCG(rng.Uint64(), 0)), nil)
	m.must(err)
	m.box = box
	t.Cleanup(func() { box.Close() })
	return m
}

// openModel opens the queue, with a server that is well when there is no rng.
func openModel(dir string, rng *rand.Rand, point func(string)) (*outbox.Outbox, error) {
	return outbox.New(outbox.Config{
		Path: filepath.Join(dir, "usage.db"), Consent: outbox.ForceOn, Point: point,
		Sink:  &modelSink{journal: filepath.Join(dir, "journal"), rng: rng},
		Start: func(string, []string) error { return nil },
	})
}

// may is what can happen to messages beside what is done to them.
type may int

const (
	nothing  may = iota
	beSent       // and settled
	beKilled     // the same, and what was settled last may not be noted
)

func (m *model) operate() {
	m.operations++
	ctx := m.Context()
	held := outbox.Held{Hold: m.name()}
	switch m.rng.IntN(10) {
	case 0, 1, 2:
		m.record(m.messages())
		m.check("record", nothing)
	case 3:
		m.decide(m.box, held, fmt.Sprint("person ", m.serial))
		m.check("decide", nothing)
	case 4:
		held.Kind = outbox.Alias
		m.must(m.box.Update(ctx, func(tx *outbox.Tx) error { return tx.Withdraw(ctx, held) }))
		maps.DeleteFunc(m.rows, func(_ string, row outbox.Message) bool {
			return row.Kind == outbox.Alias && row.Hold == held.Hold && row.DistinctID == ""
		})
		m.check("withdraw", nothing)
	case 5:
		_, err := m.box.Flush(ctx, outbox.FlushOptions{})
		if err != nil && delayOf(err).Code == "" {
			m.Fatalf("deliver: %v", err)
		}
		m.check("deliver", beSent)
	case 6:
		m.must(m.box.Update(ctx, func(tx *outbox.Tx) error { _, err := tx.Retry(ctx, nil); return err }))
		for id, row := range m.rows {
			if row.State == outbox.Dead {
				row.State = outbox.Pending
				m.rows[id] = row
			}
		}
		m.check("retry", nothing)
	case 7:
		adds := m.messages()
		m.kill(modelPlan{Adds: adds}, func() {})
		if len(outboxtest.Recorded(m, m.box)) > len(m.rows) { // all were added, or none
			m.add(adds)
		}
		m.check("record, killed", nothing)
	case 8:
		m.kill(modelPlan{}, func() {})
		m.check("deliver, killed", beKilled)
	case 9:
		m.kill(modelPlan{}, func() { m.record(m.messages()) })
		m.check("record beside a delivery, killed", beKilled)
	}
}

func (m *model) record(adds []outbox.Message) {
	m.Helper()
	_, err := m.box.Record(m.Context(), adding(adds...))
	m.must(err)
	m.add(adds)
}

func (m *model) add(adds []outbox.Message) {
	for _, message := range adds {
		message.State = outbox.Pending
		if message.Hold == "" {
			message.DistinctID = message.AnonID
		}
		m.rows[message.UUID] = message
	}
}

func (m *model) decide(box *outbox.Outbox, held outbox.Held, person string) {
	m.Helper()
	m.must(box.Update(m.Context(), func(tx *outbox.Tx) error { return tx.Decide(m.Context(), held, person) }))
	for id, row := range m.rows {
		if row.DistinctID == "" && (held.Hold == "" || row.Hold == held.Hold) {
			row.DistinctID, row.Hold = cmp.Or(person, row.AnonID), ""
			m.rows[id] = row
		}
	}
}

// end decides what is held and delivers everything, to a server that is well again.
func (m *model) end() {
	box, err := openModel(m.dir, nil, nil)
	m.must(err)
	defer box.Close()
	m.decide(box, outbox.Held{}, "")
	m.check("decide the rest", nothing)
	_, err = box.Flush(m.Context(), outbox.FlushOptions{})
	m.must(err)
	m.check("deliver the rest", beSent)
	for id, row := range m.rows {
		if row.State == outbox.Pending {
			m.Errorf("%s %s still waits", row.Event, id)
		}
	}
	events := slices.DeleteFunc(m.sent, func(id string) bool { return m.rows[id].Kind == outbox.Alias }) // which wait
	if !slices.IsSortedFunc(events, func(a, b string) int { return cmp.Compare(m.rows[a].Seq, m.rows[b].Seq) }) {
		m.Errorf("events were first sent out of the order of recording")
	}
}

func (m *model) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// name is one of those that messages are held under.
func (m *model) name() string { return fmt.Sprint("name ", m.rng.IntN(3)) }

// messages makes up to three: decided, held, aliases that are held, and some that no sink can send.
func (m *model) messages() (list []outbox.Message) {
	for range 1 + m.rng.IntN(3) {
		m.serial++
		message := outbox.Message{
			UUID: uuid.NewString(), Kind: outbox.Capture, Event: fmt.Sprint("event ", m.serial), AnonID: fmt.Sprint("anon ", m.serial),
			Properties: fmt.Appendf(nil, `{"n":%d}`, m.serial), RecordedAt: time.Now().UTC().Truncate(time.Millisecond),
		}
		switch m.rng.IntN(6) {
		case 0:
			message.Hold = m.name()
		case 1:
			message.Kind, message.Hold = outbox.Alias, m.name()
		case 2:
			message.Event = never
		}
		list = append(list, message)
	}
	return list
}

// check compares the queue and what its server was sent with the model.
func (m *model) check(operation string, may may) {
	m.Helper()
	is := outboxtest.Recorded(m, m.box)
	if len(is) != len(m.rows) {
		m.Errorf("%s: there are %d messages, want %d", operation, len(is), len(m.rows))
	}
	said := m.journal()
	for _, row := range is {
		want, known := m.rows[row.UUID]
		last, wasSent := said[row.UUID]
		isSettled := last == outbox.Accepted || last == outbox.Refused
		switch {
		case !known || wasSent && (may == nothing || want.State != outbox.Pending):
			m.Errorf("%s: %s came from nowhere, or was sent when it must not be", operation, row.Event)
		case isSettled && !(may == beKilled && row.State == outbox.Pending):
			want.State = map[outbox.Outcome]outbox.State{outbox.Accepted: outbox.Delivered, outbox.Refused: outbox.Dead}[last]
		case want.Event == never && want.State == outbox.Pending && may != nothing:
			want.State = row.State
		}
		if want.DistinctID == "" && want.Kind == outbox.Capture && row.DistinctID == row.AnonID && may != nothing {
			want.DistinctID, want.Hold = row.AnonID, "" // as late as possible
		}
		want.Attempts, want.LastError, want.SettledAt = row.Attempts, row.LastError, row.SettledAt
		if want.Seq == 0 {
			want.Seq = row.Seq
		}
		if !reflect.DeepEqual(want, row) {
			m.Errorf("%s, and the server said %d last:\nwant %+v\nis   %+v", operation, last, want, row)
		}
		m.rows[row.UUID] = row
	}
	if m.Failed() {
		m.FailNow()
	}
}

// journal returns what the server has said last of each message since the last time, and looks at what it got.
func (m *model) journal() map[string]outbox.Outcome {
	m.Helper()
	content, err := os.ReadFile(filepath.Join(m.dir, "journal"))
	if !errors.Is(err, os.ErrNotExist) {
		m.must(err)
	}
	said := map[string]outbox.Outcome{}
	for line := range bytes.Lines(content[m.read:]) {
		var e entry
		if json.Unmarshal(line, &e) != nil { // a process was killed before all of it was written
			continue
		}
		said[e.UUID] = e.Outcome
		if before, known := m.bytes[e.UUID]; known && before != e.Wire {
			m.Errorf("a message came again with other content: %s, %s", before, e.Wire)
		} else if !known {
			m.sent = append(m.sent, e.UUID)
		}
		m.bytes[e.UUID] = e.Wire
	}
	m.read = len(content)
	return said
}

// modelPlan is what a process does until it is killed: it adds messages, or delivers when there are none.
type modelPlan struct {
	Dir   string
	Seed  uint64
	Adds  []outbox.Message
	Point int // at which it kills itself, of those that it passes; a process that passes fewer ends well
}

// kill starts a process that carries a plan out, and returns when it is dead. meanwhile runs beside it.
func (m *model) kill(plan modelPlan, meanwhile func()) {
	m.Helper()
	plan.Dir, plan.Seed, plan.Point = m.dir, m.rng.Uint64(), 1+m.rng.IntN(20)
	text, err := json.Marshal(plan)
	m.must(err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestRandomOperationsAgreeWithAModel$")
	cmd.Env = append(os.Environ(), modelProcess+"="+string(text), "GORACE=atexit_sleep_ms=0")
	m.must(cmd.Start())
	if m.rng.IntN(4) == 0 { // at any place
		timer := time.AfterFunc(time.Duration(m.rng.IntN(60))*time.Millisecond, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	meanwhile()
	if err := cmd.Wait(); err != nil {
		m.kills++
		if code := cmd.ProcessState.ExitCode(); code == modelFailure {
			m.Fatalf("a process could not do %s", text)
		}
	}
}

// modelFailure is the exit code of a process that found what must not happen.
const modelFailure = 7

func runModelProcess(text string) {
	var plan modelPlan
	if json.Unmarshal([]byte(text), &plan) != nil {
		os.Exit(modelFailure)
	}
	passed := 0
	box, err := openModel(plan.Dir, rand.New(rand.NewPCG(plan.Seed, 0)), func(string) {
		if passed++; passed == plan.Point {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				self.Kill() // SIGKILL
			}
			select {}
		}
	})
	if err == nil && len(plan.Adds) > 0 {
		_, err = box.Record(context.Background(), adding(plan.Adds...))
	} else if err == nil {
		_, err = box.Flush(context.Background(), outbox.FlushOptions{})
	}
	if err != nil && delayOf(err).Code == "" {
		os.Exit(modelFailure)
	}
	os.Exit(0)
}

// never is the event of messages that cannot be encoded.
const never = "never"

// modelSink is a sink and its server: it accepts, refuses and puts off, and keeps a journal. Without an rng it
// accepts everything.
type modelSink struct {
	scripted
	journal string
	rng     *rand.Rand
}

func (s *modelSink) pick(n int) int {
	if s.rng == nil {
		return 0
	}
	return s.rng.IntN(n)
}

// entry is what the server notes of a message before it answers.
type entry struct {
	UUID, Wire string
	Outcome    outbox.Outcome
}

func (s *modelSink) Wire(m outbox.Message) (json.RawMessage, error) {
	if m.Event == never {
		return nil, &outbox.Unsendable{Reason: "it can never be sent"}
	}
	return json.Marshal([]any{m.UUID, m.Kind, m.Event, m.AnonID, m.DistinctID, m.Properties, m.RecordedAt})
}

func (s *modelSink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	for i := range messages[:len(messages)-s.pick(len(messages))] {
		if _, err := s.Wire(messages[i]); err != nil {
			return nil, 0, &outbox.Unsendable{Index: i, Reason: err.Error()}
		}
		n++
	}
	return nil, n, nil
}

func (s *modelSink) Send(_ context.Context, r outbox.Request) outbox.Answer {
	answer := outbox.Answer{Proven: true}
	all := []outbox.Outcome{outbox.Accepted, outbox.Accepted, outbox.Later, outbox.NotAllowed, outbox.Fewer}[s.pick(5)]
	each := s.pick(2) == 0 || all == outbox.Fewer && len(r.Messages) == 1
	var journal bytes.Buffer
	for _, m := range r.Messages {
		outcome := all
		if each {
			outcome = []outbox.Outcome{outbox.Accepted, outbox.Accepted, outbox.Accepted, outbox.Refused, outbox.Later}[s.pick(5)]
			answer.Each = append(answer.Each, modelVerdict(outcome))
		}
		wire, _ := s.Wire(m)
		line, _ := json.Marshal(entry{UUID: m.UUID, Wire: string(wire), Outcome: outcome})
		journal.Write(append(append([]byte("\n"), line...), '\n')) // whatever was torn before
	}
	answer.Verdict = modelVerdict(all)
	file, err := os.OpenFile(s.journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(journal.Bytes())
		err = errors.Join(err, file.Close())
	}
	if err != nil { // nothing was accepted
		return outbox.Answer{Verdict: modelVerdict(outbox.Later)}
	}
	return answer
}

func modelVerdict(o outbox.Outcome) outbox.Verdict {
	if o == outbox.Accepted {
		return outbox.Verdict{Outcome: o}
	}
	return outbox.Verdict{Outcome: o, Code: outbox.CodeServer, Reason: "the model says so"}
}
