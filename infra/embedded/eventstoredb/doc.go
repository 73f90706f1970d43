// Package eventstoredb is an event store in one process and one file that speaks EventStoreDB's gRPC protocol, for
// programs that want to run, or be tested, without a database beside them. EventStoreDB and KurrentDB clients
// connect to it as to a single insecure node; README.md lists what it serves and what it does not.
//
//	server, err := eventstoredb.Start(eventstoredb.Config{Path: "data/events.db"})
//	if err != nil { … }
//	defer server.Close()
//	config, err := esdb.ParseConnectionString(server.URL()) // esdb://127.0.0.1:2113?tls=false
//
// # Guarantees
//
//   - An append that was acknowledged is synced to disk: it survives the process being killed at any instant. An
//     append of several events is there whole or not at all.
//   - Revisions of a stream have no gaps; positions of the log strictly increase. Neither is ever given twice, also
//     over restarts.
//   - A subscription delivers every event after its origin once, in order, through the change from the past to the
//     present and under concurrent appends.
//   - Every event carries a checksum that is verified whenever it is read, and what the index and the names say is held
//     against the events. Damage is an error (gRPC DATA_LOSS) to the call that meets it, never a wrong event and never
//     a panic.
//   - One process has the file; a second gets ErrLocked within a second.
//
// # How a call walks through it
//
//	connection ─► mux ─┬─ HTTP/1.1 ─► /health/live /info /stats /gossip /backup
//	                   └─ HTTP/2 ─► gRPC
//	Append ─► parse and encode the record ─► writer ─► judge ─► bbolt ─► fsync ─► answer
//	          (caller's goroutine)           one goroutine, one commit      │
//	                                         for all who wait               └─► hub: ring the bells
//	Read ─► chunk ─► send ─► chunk ─► … end                                           │
//	subscription: ─► chunk ─► send ─► … at the end: sleep until the bell rings ◄──────┘
//	        a chunk is one short read transaction: records copied as the bytes of their responses
//
// The file is a bbolt database of three buckets: log (position to record), index (stream number and revision to
// position) and streams (name to number). A record holds the encoded response message of its event, so a read
// decodes and encodes nothing. Keys ascend, so an append touches the ends of log and index, whatever the file's
// size; the writer caches the heads of the streams it has lately written to, and readers look theirs up in the same
// transaction from which they read.
//
// # Caveats
//
//   - Nothing is ever removed from the file: truncated and deleted events are hidden from their streams, and still
//     stand in $all, as in EventStoreDB before a scavenge.
//   - When a commit fails (a full disk, say) the appends in it fail with UNAVAILABLE and the file is reopened; later
//     ones succeed as soon as the disk does. A file that cannot be reopened is tried again twice a second; until then
//     reads fail with UNAVAILABLE as well.
//   - Repetitions of appends with an exact revision are recognised for ever, of those with Any or StreamExists
//     among the newest events only (at least 8,192 of them, also after a restart).
//   - Filters by regular expression are Go's (RE2), not .NET's: look-around is refused.
package eventstoredb
