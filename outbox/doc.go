// Package outbox is a durable queue of analytics messages and its delivery to PostHog.
//
// A producer adds messages inside a transaction of its own (AddTx), so that a message exists
// if and only if the change it speaks of was committed. A Flusher, usually in another process,
// sends them in the order in which they were added and settles each one once.
//
// # The guarantee
//
// A committed message is sent at least once, in order, and always as the same bytes; PostHog
// folds repeats into one by uuid, event, distinct id and timestamp. It leaves the queue by
// being accepted, by being refused for good (it then stays visible as dead), by a cap (it is
// then counted) or by the user's hand.
//
// # What can go wrong, and what happens then
//
//  1. The producer dies before its commit: neither message nor change exists.
//  2. The producer dies after its commit: the message waits for the next flusher.
//  3. Power fails after the producer's Leave: the message is in the synced WAL.
//  4. The flusher dies before the request: the message is pending and unchanged.
//  5. The flusher dies between PostHog's answer and the settlement: the message is sent again,
//     byte for byte, and PostHog folds the two.
//  6. Two flushers start: the lock on the second side file lets one run. The kernel frees it
//     when its owner dies, however it dies.
//  7. A producer commits while the flusher is leaving: the flusher looks once more after it has
//     released the lock, and the producer, finding the lock free, starts another one.
//  8. PostHog refuses a batch: halving finds the message it objects to in 2·log2(n)+2 requests;
//     how far that got is kept in `attempts`, so that a killed flusher's work is not lost.
//  9. Nobody answers, or somebody else does (a captive portal, a proxy): nothing is settled and
//     nothing is used up; the back-off is kept in the database, across processes. The batch
//     that was made ready meanwhile is dropped; it was never sent.
//  10. The user switches tracking off meanwhile: consent is read before messages are encoded,
//     and again when each request is about to leave, so nothing is sent after it. An empty file
//     beside the database keeps the switch when the database is lost.
//  11. The write lock's holder is stopped: the wait is bounded, SQLite's own locking takes over.
//  12. The database is corrupt: a new one takes its place, with everything that can be read of
//     it; one copy is kept. A process that dies while it does that has its work finished by the
//     next one, and one that had the old file open goes over to the new. A damaged schema or
//     header costs nothing, since both are known. What no statement meets is looked for with
//     each delivery.
//  13. The database was written by a newer binary, or by another program: nothing is recorded
//     and nothing delivered. A version beside the schema of this one is damage.
//  14. The clock jumps: a back-off further away than the longest possible one is over; the age
//     cap applies only when the clock has gone on without a jump for a day.
//
// The package knows nothing of the program that uses it. Times in the database are Unix
// milliseconds, UTC.
package outbox
