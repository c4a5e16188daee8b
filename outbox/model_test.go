package outbox_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
	kills := 0
	for i := range stories {
		t.Run(fmt.Sprintf("story %d of seed %d", i, seed), func(t *testing.T) {
			m := newModel(t, rand.New(rand.NewPCG(seed, uint64(i))))
			for range 60 {
				m.operate()
			}
			m.end()
			kills += m.kills
		})
	}
	t.Logf("%d operations, %d kills", 60*stories, kills)
}

// model is what a queue must hold. Each operation is done to both, and then the two are compared.
type model struct {
	*bench
	rng    *rand.Rand
	rows   []outbox.Message // in the order of recording, as they were seen last
	serial int              // of the last message or decision
	kills  int
	fault  outboxtest.Fault // of the server, in this operation

	mu      sync.Mutex // of what the server sees
	choose  *rand.Rand // its answers; nil: it accepts everything
	sent    []string   // uuids in the order in which they were first seen
	wire    map[string][]byte
	said    map[string]string // the answers to a message in this operation
	changed []string          // what came again with other content
}

func newModel(t *testing.T, rng *rand.Rand) *model {
	m := &model{
		bench: newBench(t, 0), rng: rng, choose: rand.New(rand.NewPCG(rng.Uint64(), 0)),
		wire: map[string][]byte{}, said: map[string]string{},
	}
	m.server.SetResults(m.answer)
	return m
}

// answer is the server's, to one message. The server puts off an alias and never refuses it: what its principal did
// before would stay another's.
func (m *model) answer(message outboxtest.Message) (result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if first, known := m.wire[message.UUID]; !known {
		m.wire[message.UUID] = message.Raw
		m.sent = append(m.sent, message.UUID)
	} else if !bytes.Equal(first, message.Raw) {
		m.changed = append(m.changed, fmt.Sprintf("%s, %s", first, message.Raw))
	}
	result = "ok"
	if m.choose != nil {
		result = []string{"ok", "ok", "warning", "retry", "drop:event_too_big"}[m.choose.IntN(5)]
	}
	if message.IsAlias() && strings.HasPrefix(result, "drop") {
		result = "retry"
	}
	m.said[message.UUID] += " " + result
	return result
}

func (m *model) operate() {
	m.clock.Advance(time.Minute) // past what a Retry-After asks for
	faults := []outboxtest.Fault{"", "", "503", "commit+503", "close", "commit+close", "401"}
	m.fault = faults[m.rng.IntN(len(faults))]
	m.server.SetFaults(m.fault)
	ctx, held := m.Context(), outbox.Held{Hold: m.name()}
	operation := []string{
		"record", "record", "record", "decide", "withdraw", "deliver", "retry", "record, killed", "deliver, killed",
	}[m.rng.IntN(9)]
	switch operation {
	case "record":
		m.record(m.some())
	case "decide":
		m.decide(held)
	case "withdraw":
		held.Kind = outbox.Alias
		m.tx(func(tx *outbox.Tx) error { return tx.Withdraw(ctx, held) })
		m.rows = slices.DeleteFunc(m.rows, func(row outbox.Message) bool {
			return row.Kind == outbox.Alias && row.Hold == held.Hold
		})
	case "deliver":
		if _, err := m.flushByHand(); err != nil && delayOf(err).Code == "" {
			m.Fatalf("deliver: %v", err)
		}
	case "retry":
		m.tx(func(tx *outbox.Tx) error { _, err := tx.Retry(ctx, nil); return err })
		for i := range m.rows {
			if m.rows[i].State == outbox.Dead {
				m.rows[i].State = outbox.Pending
			}
		}
	case "record, killed":
		adds := m.some()
		m.kill(adds, nil)
		if len(m.messages()) > len(m.rows) { // all were added, or none
			m.expect(adds)
		}
	case "deliver, killed": // while another process records
		m.kill(nil, m.some())
	}
	m.check(operation)
}

func (m *model) record(adds []outbox.Message) {
	m.Helper()
	_, err := m.box.Record(m.Context(), adding(adds...))
	m.must(err)
	m.expect(adds)
}

func (m *model) expect(adds []outbox.Message) {
	for _, message := range adds {
		message.State = outbox.Pending
		m.rows = append(m.rows, message)
	}
}

func (m *model) decide(held outbox.Held) {
	m.Helper()
	m.serial++
	person := fmt.Sprint("person-", m.serial)
	m.tx(func(tx *outbox.Tx) error { return tx.Decide(m.Context(), held, person) })
	for i := range m.rows {
		if row := &m.rows[i]; row.DistinctID == "" && (held.Hold == "" || row.Hold == held.Hold) {
			row.DistinctID, row.Hold = person, ""
		}
	}
}

// end decides what is held and delivers everything, to a server that is well again.
func (m *model) end() {
	m.decide(outbox.Held{})
	m.mu.Lock()
	m.choose = nil
	m.mu.Unlock()
	m.server.SetFaults()
	m.clock.Advance(time.Minute)
	if _, err := m.flushByHand(); err != nil {
		m.Errorf("deliver the rest: %v", err)
	}
	m.check("deliver the rest")
	var events []string // an alias waits for its decision
	for _, row := range m.rows {
		if row.State == outbox.Pending {
			m.Errorf("%s %s still waits", row.Kind, row.UUID)
		}
		if row.Kind == outbox.Capture {
			events = append(events, row.UUID)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	sent := slices.DeleteFunc(m.sent, func(id string) bool { return !slices.Contains(events, id) })
	if !slices.Equal(sent, events) {
		m.Errorf("events were first sent as %q, want the order of recording, %q", sent, events)
	}
}

// name is one of those that messages are held under.
func (m *model) name() string { return fmt.Sprint("name-", m.rng.IntN(3)) }

// some makes up to three messages: decided ones, held ones and aliases that are held.
func (m *model) some() (list []outbox.Message) {
	for range 1 + m.rng.IntN(3) {
		m.serial++
		m.clock.Advance(time.Millisecond)
		message := m.event(m.serial)
		message.AnonID = fmt.Sprint("anon-", m.serial)
		message.DistinctID = message.AnonID
		switch m.rng.IntN(5) {
		case 0:
			message.DistinctID, message.Hold = "", m.name()
		case 1:
			message.Kind, message.Event = outbox.Alias, "$create_alias"
			message.DistinctID, message.Hold = "", m.name()
		}
		list = append(list, message)
	}
	return list
}

// check compares the queue, and what its server has seen, with the model.
func (m *model) check(operation string) {
	m.Helper()
	is := m.messages()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.changed) > 0 {
		m.Errorf("messages came again with other content: %q", m.changed)
	}
	if len(is) != len(m.rows) {
		m.Fatalf("%s: there are %d messages, want %d", operation, len(is), len(m.rows))
	}
	for i, row := range is {
		want, said := m.rows[i], m.said[row.UUID]
		if want.Kind == outbox.Capture && row.DistinctID == row.AnonID && strings.HasPrefix(operation, "deliver") {
			want.DistinctID, want.Hold = cmp.Or(want.DistinctID, want.AnonID), "" // as late as possible
		}
		isAccepted := strings.HasSuffix(said, "ok") || strings.HasSuffix(said, "warning")
		mustSettle := operation == "deliver" && m.fault == "" // else the answer may be lost
		switch {
		case want.State != outbox.Pending:
		case isAccepted && (mustSettle || row.State == outbox.Delivered):
			want.State = outbox.Delivered
		case row.State == outbox.Dead && strings.Contains(said, "drop"):
			want.State = outbox.Dead
		}
		want.Seq, want.Attempts, want.LastError, want.SettledAt = row.Seq, row.Attempts, row.LastError, row.SettledAt
		if !reflect.DeepEqual(want, row) {
			m.Errorf("%s, and the server said %q:\nwant %+v\nis   %+v", operation, said, want, row)
		}
	}
	clear(m.said)
	if m.rows = is; m.Failed() {
		m.FailNow()
	}
}

// modelPlan is what a process does until it is killed: it adds messages, or delivers when there are none.
type modelPlan struct {
	Path, URL string
	Now       time.Time
	Adds      []outbox.Message
	Point     int // at which it kills itself, of those that it passes; a process that passes fewer ends well
}

// modelFailure is the exit code of a process that found what must not happen.
const modelFailure = 7

// kill starts a process that carries a plan out, and returns when it is dead. beside is recorded meanwhile.
func (m *model) kill(adds, beside []outbox.Message) {
	m.Helper()
	text, err := json.Marshal(modelPlan{m.path, m.server.URL(), m.clock.Now(), adds, 1 + m.rng.IntN(20)})
	m.must(err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestRandomOperationsAgreeWithAModel$")
	cmd.Env = append(os.Environ(), modelProcess+"="+string(text), "GORACE=atexit_sleep_ms=0")
	m.must(cmd.Start())
	if len(beside) > 0 {
		m.record(beside)
	}
	if err := cmd.Wait(); err != nil {
		m.kills++
	}
	if cmd.ProcessState.ExitCode() == modelFailure {
		m.Fatalf("a process could not do %s", text)
	}
}

func runModelProcess(text string) {
	var plan modelPlan
	if json.Unmarshal([]byte(text), &plan) != nil {
		os.Exit(modelFailure)
	}
	passed := 0
	box, err := outbox.New(outbox.Config{
		Path: plan.Path, Sink: sinkAt(plan.URL), Consent: outbox.ForceOn, Now: func() time.Time { return plan.Now },
		Start: func(string, []string) error { return nil },
		Point: func(string) {
			if passed++; passed == plan.Point {
				if self, err := os.FindProcess(os.Getpid()); err == nil {
					self.Kill() // SIGKILL
				}
				select {}
			}
		},
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
