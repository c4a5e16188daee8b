package outbox

// pair is two senders that take turns: while the request of one is under way, the next batch is
// made ready in the other. Encoding a batch takes longer than all else that is done for it.
type pair struct {
	sending, loading *sender
	ahead            []Message // what loading holds
}

func newPair(endpoint, key string, line *line) *pair {
	return &pair{sending: newSender(endpoint, key, line), loading: newSender(endpoint, key, line)}
}

func (p *pair) loadAhead(batch []Message) {
	if p.ahead = batch; len(batch) > 0 {
		p.loading.load(batch)
	}
}

func (p *pair) dropAhead() {
	p.loading.drop()
	p.ahead = nil
}

// turn makes what was loaded ahead what is sent next, and returns it; empty: nothing was.
func (p *pair) turn() []Message {
	batch := p.ahead
	if p.ahead = nil; len(batch) > 0 {
		p.sending, p.loading = p.loading, p.sending
	}
	return batch
}

func (p *pair) close() {
	p.sending.drop()
	p.loading.drop()
}
