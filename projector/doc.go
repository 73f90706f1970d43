// Package projector is the machine that runs views. It follows the log and publishes it (Relay), takes events from the
// views' queues (consumer), lands them (Applier), checks some seconds later that they have landed (sweep), and builds new
// generations (Replay). It knows views only as package view declares them, and the outside only through the interfaces in ports.go.
//
//	log ─► Relay ─► Publisher … Queue ─► consumer ─► Applier ─► Rows
//	 └───────────────────► Replay ──────────────────────┘ ▲
//	 └────────────────── what is missing ─────────────────┘
//	 └────────────────── sweep: what was lost ────────────┘
//
// Every loop outlives its dependencies: it reports the fault, waits with backoff and jitter, and goes on.
//
// # Where to read what
//
// What always runs, which service.go starts:
//
//   - relay.go: from the log to the bus, and the relay's checkpoint.
//   - consume.go, delete.go: from a queue to batches of events; what has landed is deleted.
//   - apply.go, change.go, land.go: a batch of events into a generation, in whatever order: the careful way (Applier); blame.go: which event
//     of it made a document that cannot be composed.
//   - sweep.go: what was lost; watch.go: what is stalled, silent or to be built; elect.go: which process relays and sweeps.
//
// What builds a generation, or looks at one as a whole:
//
//   - replay.go: build, catch up, verify, switch (begin.go, pass.go, cut.go, verify.go).
//   - assemble*.go, document.go: the fast way into a fresh generation (assembler): hold folds events, gather makes rows of them, place
//     puts these in documents, write writes the documents. A build that meets a document that its view cannot compose begins again the
//     careful way.
//   - rollback.go; audit.go, by a generation of its own or by a sample of documents; stream.go: one stream, for an operator.
package projector
