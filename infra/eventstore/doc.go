// Package eventstore is the client of EventStoreDB and KurrentDB: it appends to streams, reads them, and follows the
// whole log, over the official gRPC client (EventStore-Client-Go).
//
// # What it promises
//
// The store may be absent when the program starts, and may restart, hang or be cut off at any time after. Then:
//
//   - A call fails fast, with an error that is event.ErrUnavailable. While the store is known to be away calls are
//     refused at once; none outlives its context or Config.Timeout.
//   - Calls succeed again within a second of the store's return. Nobody has to reopen anything.
//   - An append whose connection dies after it was sent is repeated with the same event ids and the same expected
//     revision, which the server answers as it answered, or would have answered, the first. The caller gets the true
//     outcome. Only where Config.Timeout passes first is the outcome unknown, and the error says so. With the expected
//     revision event.Any the server knows recent ids only, so a repeat is exact only for event.NoStream and for a revision.
//   - A subscription resumes from the last event or checkpoint it has seen: nothing is missed, repeated or reordered. It does
//     not stay on a node that appends have left, such as a leader cut off from its peers that still serves what it has.
//
// # How a call walks through it
//
//	Append ──► supervisor.begin ──► link ──► esdb.Client ──► server
//	               ▲                  │
//	               │ a fresh link     │ Unavailable, not the leader, or no answer in time
//	           supervisor.run ◄──── retired
//
// A link is one esdb client used for one connection. The first call that finds the connection dead retires the link: it
// admits no more calls, and is closed when the last call on it has ended. The supervisor dials until it has another.
// The doc comment of link says why the client is not trusted to reconnect by itself, and why each call has a goroutine of its own.
//
// # Connection strings
//
// They go to the client's own parser untouched, but for the scheme: kurrentdb:// and kurrentdb+discover:// are read
// as esdb:// and esdb+discover://, the only ones that version 4.2.0 of the client knows. Options it does not know are
// logged by it and ignored. The supervisor does the retrying, so maxDiscoverAttempts and discoveryInterval have no effect;
// gossipTimeout (seconds) bounds one attempt to connect, and defaultDeadline (milliseconds) stands in for an unset
// Config.Timeout; Open refuses either below 1 or with a unit. What is no letter or digit in a password is to be
// percent-encoded.
//
//	esdb://127.0.0.1:2113?tls=false                                        one node, no TLS (credentials are not sent)
//	esdb://shop:secret@db.example.com:2113                                 one node, TLS, the host's root CAs
//	esdb://shop:secret@db:2113?tlsCaFile=/etc/ca.crt                       a private CA
//	esdb://db:2113?userCertFile=/etc/shop.crt&userKeyFile=/etc/shop.key    a client certificate
//	esdb://shop:secret@n1:2113,n2:2113,n3:2113?nodePreference=leader       a KurrentDB cluster by its nodes
//	kurrentdb+discover://shop:secret@cluster.example.com:2113              a KurrentDB cluster by one DNS name
//	esdb+discover://shop:secret@c1abcdefg.mesdb.eventstore.cloud           Kurrent Cloud, as its console shows it
//
// nodePreference is leader if it is left out. Any other may serve what is old; Config.Leader refuses it.
//
// Name a cluster by all its nodes or by DNS: a node that is the only one named is asked again and again, leader or not.
//
// With access control on, the user must be allowed to read $all, as Subscribe, ReadAll and Head do.
//
// # Checking another server
//
// The package storetest holds the conformance suite. It runs against the embedded server, and, with unique stream names
// and no need of an empty log, against any server that is named:
//
//	JANGBU_TEST_EVENTSTORE_URL='esdb://127.0.0.1:2113?tls=false' go test ./infra/eventstore -run TestConformanceByURL -v
//
// # Caveats
//
// An append is limited by the server: 1 MiB in all up to version 24.10, 16 MiB an event from 25.1. Over it, the answer is
// event.ErrTooLarge where the server's refusal can be told from a broken connection.
//
// Old servers do not tell the position of an event that is read by its stream: it is left zero then.
package eventstore
