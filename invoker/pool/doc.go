// Package pool decides which container runs which activation.
//
// Pool is a pure state machine: Step takes the time and an event and returns the
// effects to perform; it starts no goroutines, reads no clock and does no I/O.
// Loop owns a Pool, feeds it events and performs its effects. The scripts in
// testdata are the package's manual: one file for each rule.
//
// The rules are those of openwhisk-invoker.md section 2, with these differences,
// which answer the weaknesses that its section 14 lists:
//
//   - Jobs wait per action, not in one line. Memory is granted round robin over
//     namespaces and, within one, over actions; a big action never blocks a small
//     one, and does not starve either, since memory is kept for it once it has
//     waited for Config.ReserveAfter.
//   - A job waits for a container of its action when that is quicker than starting
//     another one.
//   - Jobs are bound late: a container takes the head of its action's queue when
//     it is ready, so a job never waits behind a container that starts slowly.
//   - Evictions are exact: memory is promised to a new container (state Planned)
//     and the container starts only when the evicted ones are gone, so the pool
//     never hands out more than it has nor evicts more than it needs. A container
//     that is in constant use is not evicted between two uses.
//   - What is evicted is what costs least to lose (GreedyDual), not what was unused
//     for longest.
//   - A container that answers 503 or does not listen gives its job back.
package pool
