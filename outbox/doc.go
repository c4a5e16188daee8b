// Package outbox is a durable queue of usage events for command lines. A command records its
// event in one transaction with whatever else it changes, and ends; a detached process of the
// same program delivers the queue, now or when the network is back.
//
//	func main() {
//		outbox.Main(config) // in the flusher's process this delivers and does not return
//		box, err := outbox.New(config())
//		...
//		box.Record(ctx, func(tx *outbox.Tx) error { return tx.Add(ctx, outbox.Message{...}) })
//	}
//
// A committed message is sent at least once, and always with the same uuid, event, distinct id,
// timestamp and properties, by which a server can fold repeats into one. (A sink may add
// properties of its own when it sends.) Messages leave in the order in which they were added,
// one request in flight. Three kinds may come late: one that was retried by hand, one that a
// damaged database gave back, and one that was refused alone while the next was tried.
//
// A message leaves the queue when the sink has accepted it, when the sink has refused it for
// good (it then stays visible as dead), by a cap (it is then counted), or by the user's hand.
// A refusal counts only from an endpoint that has proved itself by accepting something.
package outbox

// What can go wrong, and what happens then:
//
//  1. The producer dies before its commit: neither message nor change exists.
//  2. The producer dies after its commit: the message waits for the next flusher.
//  3. Power fails after Record has returned: the message is in the synced WAL.
//  4. The flusher dies before the request: the message is pending and unchanged.
//  5. The flusher dies between the server's answer and the settlement: the message is sent
//     again with the same content.
//  6. Two flushers start: the lock on a side file lets one run. The kernel frees it when its
//     owner dies, however it dies.
//  7. A producer commits while the flusher is leaving: the flusher looks once more after it has
//     released the lock, and the producer, finding the lock free, starts another one.
//  8. The server refuses a batch: halving finds the message it objects to in 2·log2(n)+2
//     requests; how far that got is kept in `attempts`, so that a killed flusher's work is not
//     lost. An endpoint that has never accepted anything is asked about two messages at most.
//  9. Nobody answers, or somebody else does (a captive portal, a proxy): nothing is settled and
//     nothing is used up; the back-off is kept in the database, across processes.
//  10. The user switches tracking off meanwhile: consent is read when a batch is taken, and
//     again when its request is about to leave. An empty file beside the database keeps the
//     switch when the database is lost.
//  11. The write lock's holder is stopped: the wait is bounded, SQLite's own locking takes over.
//  12. The database is corrupt: a new one takes its place, with everything that can be read of
//     it; one copy is kept. A process that dies while it does that has its work finished by the
//     next one, and one that had the old file open goes over to the new.
//  13. The database was written by a newer binary, or by another program: nothing is recorded
//     and nothing delivered.
//  14. The clock jumps: a back-off further away than the longest possible one is over; the age
//     cap applies only when the clock has gone on without a jump for a day.
//  15. The disk is full: new messages are lost, what waits is not. Room for a batch's settlement
//     is set aside before it is sent.
//  16. The home is copied to another machine: what is held goes out as its anon id, and the
//     embedder is told before anything else happens (Config.Moved). A copy that stays on the
//     same machine, such as a backup that is restored, cannot be told from the original: what
//     both still hold may be sent by both, and a server folds the two only if both decide alike.
//  17. A flusher lingers: a producer that finds it so starts none. The flusher looks once more
//     after it has let that lock go, too. If it dies meanwhile, the kernel frees the lock; a
//     message that was committed in its last moment waits for the next producer.
