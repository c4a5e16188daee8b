package outbox_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// model is what a queue must hold. After each operation the queue is read, and every difference to the rows
// before must be one that the operation may make.
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
	if err != nil {
		t.Fatal(err)
	}
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

// expected is what an operation may do beside leaving everything as it is.
type expected struct {
	adds      []outbox.Message
	certainly bool                            // it adds them; else all of them or none
	delivers  bool                            // messages may be sent and settled
	killed    bool                            // and what was settled last may not be noted
	decides   func(was outbox.Message) string // the distinct id that a held message gets
	withdraws func(was outbox.Message) bool   // held messages that are deleted
	retries   bool                            // dead messages wait again
}

func (m *model) operate() {
	m.operations++
	ctx := m.Context()
	switch m.rng.IntN(10) {
	case 0, 1, 2:
		adds := m.messages()
		_, err := m.box.Record(ctx, adding(adds...))
		m.must(err)
		m.check("record", expected{adds: adds, certainly: true})
	case 3:
		person, name := fmt.Sprint("person ", m.serial), m.name()
		h := outbox.Held{Hold: name}
		m.must(m.box.Update(ctx, func(tx *outbox.Tx) error { return tx.Decide(ctx, h, person) }))
		m.check("decide", expected{decides: func(was outbox.Message) string {
			if was.Hold == name {
				return person
			}
			return ""
		}})
	case 4:
		h := outbox.Held{Kind: outbox.Alias, Hold: m.name()}
		m.must(m.box.Update(ctx, func(tx *outbox.Tx) error { return tx.Withdraw(ctx, h) }))
		m.check("withdraw", expected{withdraws: func(was outbox.Message) bool {
			return was.Kind == outbox.Alias && was.Hold == h.Hold && was.DistinctID == ""
		}})
	case 5:
		_, err := m.box.Flush(ctx, outbox.FlushOptions{})
		if early := (*outbox.Delay)(nil); err != nil && !errors.As(err, &early) {
			m.Fatalf("deliver: %v", err)
		}
		m.check("deliver", expected{delivers: true})
	case 6:
		m.must(m.box.Update(ctx, func(tx *outbox.Tx) error { _, err := tx.Retry(ctx, nil); return err }))
		m.check("retry", expected{retries: true})
	case 7:
		adds := m.messages()
		m.kill(modelPlan{Adds: adds}, func() {})
		m.check("record, killed", expected{adds: adds})
	case 8:
		m.kill(modelPlan{}, func() {})
		m.check("deliver, killed", expected{delivers: true, killed: true})
	case 9:
		adds := m.messages()
		m.kill(modelPlan{}, func() {
			_, err := m.box.Record(ctx, adding(adds...))
			m.must(err)
		})
		m.check("record beside a delivery, killed", expected{adds: adds, certainly: true, delivers: true, killed: true})
	}
}

// end decides what is held and delivers everything, to a server that is well again.
func (m *model) end() {
	box, err := openModel(m.dir, nil, nil)
	m.must(err)
	defer box.Close()
	m.must(box.Update(m.Context(), func(tx *outbox.Tx) error { return tx.Decide(m.Context(), outbox.Held{}, "") }))
	m.check("decide the rest", expected{decides: func(was outbox.Message) string { return was.AnonID }})
	_, err = box.Flush(m.Context(), outbox.FlushOptions{})
	m.must(err)
	m.check("deliver the rest", expected{delivers: true})
	for id, row := range m.rows {
		if row.State == outbox.Pending {
			m.Errorf("%s %s still waits", row.Event, id)
		}
	}
	place := map[string]int64{}
	for id, row := range m.rows {
		place[id] = row.Seq
	}
	first := slices.DeleteFunc(slices.Clone(m.sent), func(id string) bool { return m.rows[id].Kind == outbox.Alias }) // which wait
	if !slices.IsSortedFunc(first, func(a, b string) int { return cmp.Compare(place[a], place[b]) }) {
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

// check reads the queue and the server's journal and compares them with the rows before.
func (m *model) check(operation string, may expected) {
	m.Helper()
	after := m.list()
	fates := m.journal()
	for id, was := range m.rows {
		now, there := after[id]
		delete(after, id)
		if !there {
			if may.withdraws == nil || !may.withdraws(was) {
				m.Errorf("%s: %s %s is lost", operation, was.Event, id)
			}
			delete(m.rows, id)
			continue
		}
		m.compare(operation, may, was, now, fates[id])
		m.rows[id] = now
	}
	if len(after) != 0 && len(after) != len(may.adds) || may.certainly && len(after) != len(may.adds) {
		m.Errorf("%s: %d of its %d messages were added; want all of them or none", operation, len(after), len(may.adds))
	}
	for _, want := range may.adds {
		now, there := after[want.UUID]
		if !there {
			continue
		}
		want.Seq, want.State = now.Seq, outbox.Pending
		if want.Hold == "" {
			want.DistinctID = want.AnonID
		}
		m.compare(operation, may, want, now, fates[want.UUID])
		m.rows[want.UUID] = now
		delete(after, want.UUID)
	}
	for id, row := range after {
		m.Errorf("%s: %s %s came from nowhere", operation, row.Event, id)
	}
	if m.Failed() {
		m.FailNow()
	}
}

// compare looks at one message.
func (m *model) compare(operation string, may expected, was, now outbox.Message, fate []outbox.Outcome) {
	m.Helper()
	wrong := func(what string) {
		m.Errorf("%s: %s\nbefore %+v\nnow    %+v\nthe server said %v", operation, what, was, now, fate)
	}
	fixed := was
	fixed.DistinctID, fixed.Hold, fixed.State, fixed.Attempts = now.DistinctID, now.Hold, now.State, now.Attempts
	fixed.LastError, fixed.SettledAt = now.LastError, now.SettledAt
	if !reflect.DeepEqual(fixed, now) {
		wrong("a message has changed")
	}
	switch {
	case was.DistinctID == now.DistinctID:
	case was.DistinctID != "":
		wrong("a decided message has changed hands")
	case may.decides != nil && now.DistinctID == may.decides(was):
	case may.delivers && was.Kind == outbox.Capture && now.DistinctID == was.AnonID:
	default:
		wrong("it belongs to somebody else")
	}
	last := outbox.Outcome(0)
	if len(fate) > 0 {
		last = fate[len(fate)-1]
	}
	settled := last == outbox.Accepted || last == outbox.Refused
	switch {
	case was.State != outbox.Pending && len(fate) > 0 || !may.delivers && len(fate) > 0:
		wrong("it was sent")
	case was.State == now.State:
		if was.State == outbox.Pending && settled && !may.killed {
			wrong("what the server said is not noted")
		}
	case was.State == outbox.Dead && now.State == outbox.Pending && may.retries:
	case was.State == outbox.Pending && now.State == outbox.Delivered && last == outbox.Accepted:
	case was.State == outbox.Pending && now.State == outbox.Dead && (last == outbox.Refused || may.delivers && was.Event == never):
	default:
		wrong("it has another state")
	}
}

func (m *model) list() map[string]outbox.Message {
	m.Helper()
	rows := map[string]outbox.Message{}
	m.must(m.box.Update(m.Context(), func(tx *outbox.Tx) error {
		for row, err := range tx.Messages(m.Context(), outbox.Filter{}) {
			if err != nil {
				return err
			}
			rows[row.UUID] = row
		}
		return nil
	}))
	return rows
}

// journal returns what the server has said of each message since the last time, and looks at what it got.
func (m *model) journal() map[string][]outbox.Outcome {
	m.Helper()
	content, err := os.ReadFile(filepath.Join(m.dir, "journal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.Fatal(err)
	}
	fates := map[string][]outbox.Outcome{}
	for line := range bytes.Lines(content[m.read:]) {
		var e entry
		if json.Unmarshal(line, &e) != nil { // a process was killed before all of it was written
			continue
		}
		fates[e.UUID] = append(fates[e.UUID], e.Outcome)
		if before, known := m.bytes[e.UUID]; known && before != e.Wire {
			m.Errorf("a message came again with other content: %s, %s", before, e.Wire)
		} else if !known {
			m.sent = append(m.sent, e.UUID)
		}
		m.bytes[e.UUID] = e.Wire
	}
	m.read = len(content)
	return fates
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
	if early := (*outbox.Delay)(nil); err != nil && !errors.As(err, &early) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(modelFailure)
	}
	os.Exit(0)
}

// never is the event of messages that cannot be encoded.
const never = "never"

// modelSink is a sink and its server: it accepts, refuses and puts off, and keeps a journal. Without an rng it
// accepts everything.
type modelSink struct {
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

func (s *modelSink) Endpoint() string { return "model" }

func (s *modelSink) Check() error { return nil }

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
