package store

// LockInQueue is lockInQueue, for its test.
var LockInQueue = lockInQueue
