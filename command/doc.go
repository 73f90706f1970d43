// Package command is the POST API: it turns a request into a command, loads the stream it is about, lets the domain
// decide, and appends the events it decides on to the log. It needs nothing but the log; no view is read, no message
// is sent.
//
//	POST ─► decode ─► line of the stream ─► Decide, in a row ─► append at the exact revision ─► 201/200, ETag, Consistency-Token
//	                      ▲    ▲                                  │
//	                      │    └──── decided again ◄── conflict ──┤
//	                 states kept ◄── what is newer in the log ◄───┘
//
// # Guarantees
//
//   - A success means that the events are durable, or that the command changed nothing.
//   - Two commands for one stream never both act on the same revision: the loser decides again. After
//     Config.MaxAttempts it is 409 concurrent-change. A client that cares says If-Match, and a mismatch is 412,
//     unless the command changes nothing anyway.
//   - A request with an Idempotency-Key is carried out once and answered alike each time, whatever fails in between.
//     The key belongs to the actor (X-Actor) and is bound to method, path and body; with others it is 422
//     idempotency-key-reused. There is no second store: the log remembers.
//   - A refusal binds nothing, not even the key: the same request may succeed later, when it is sent again. The key is bound once the
//     command has been found to have an effect, or to need none. Whoever is refused is never served by an attempt that was under way then,
//     unless the same request, sent anew, would succeed by now: whatever the refusal rests on, the stream, others, or the clock.
//   - No two members have one e-mail address: it is reserved on a stream of its own first (emails.go).
//
// # Rows
//
// A row is a group commit (no relation to package query/row). The commands that are in flight for one stream stand in its line. A row is
// taken from its front: they are decided one after the other in memory, each on the state that those before it lead to, and their events
// appended at once, at the revision on which the first was decided: the row's base. Meanwhile the next row gathers; a lone command is a row, at once.
// Each gets its own answer: its own revision, its own refusal, its If-Match judged at its own place.
//
// A base is the state that this process has kept, without asking the log: the append tells whether it still stands. What
// was decided on it is answered once that is certain: when the row's events have landed, or, if nobody had an effect, when a
// read has found nothing newer. So a refusal or an answer without effect is as true as an effect; it never rests on events that
// have not landed, nor on a state that has passed.
//
// A row whose append conflicts is decided again by what is then in the log, of which only what is newer than the base is
// read. Config.MaxAttempts counts for each command of it. A client that goes away does not take the row along; its command is
// left out if its row has not begun.
//
// What an order refers to, its member and products, is brought up to date by a read after the order came in.
//
// # States kept, and snapshots
//
// A state is kept with its revision and the id of the event there. Reading on begins with that event: if it does not stand there
// any more, or a revision is missing after it, the stream was deleted or cut short, and is read anew. After a row of nothing but keyed
// commands what it led to is not kept but read: the log may have taken the append for the repetition of another attempt's, whose events
// have the same ids and say something else, such as another time. Every Config.SnapshotEvery events the state is written to
// snapshot-<stream>, of which only the last event stays. Who has to read a stream of more than some events goes
// on from there. A snapshot with another format of the state, one that cannot be read, and one whose event does not stand in the stream
// are as good as none.
//
// # Exactly once
//
// The command id is UUIDv5(actor, key), the id of its n-th event UUIDv5(command id, n), and the id of a thing the server
// names is derived from the command id too. So a repeated request finds the stream of the first one. What became of it stands
// in the claim, the stream idempotency-<command id>:
//
//	idempotency.reserved.v1 {request_hash, stream, expected, events}  an attempt is about to append events to stream after expected
//	idempotency.answered.v1 {revision}                                the command changed nothing; this is its answer for good
//	idempotency.refused.v1  {in_a_row}                                an attempt was refused on account of other streams or the clock; those
//	                                                                  that had read the claim must read it again; so it is where a
//	                                                                  claim of which nothing is left begins anew
//
// A row has at most 1024 events (or one command), and its claims name its base. So if an attempt had an effect, its first event is
// among the 1024 after a revision that the claim names: its window. Nobody reads a whole stream to find it.
//
// One attempt of a keyed request, in a row:
//
//  1. Read the claim. Another request's: 422. Answered: that is the answer. The first attempt skips this step; it finds
//     out in 5 or 7, whose append demands that the claim is empty.
//  2. Bring the base up to date, after 1. The first attempt takes what is kept.
//  3. The command's own events stand in one of its windows: the answer is the revision of the last of them. This comes before
//     If-Match, which the first attempt has passed.
//  4. Decide and judge If-Match, at the command's place in the row. Is that the base, and the claim's latest reservation names it, then the
//     events of the reservation are the decision, whatever has become of products, members and the clock, and whatever If-Match says: the
//     attempt that made it has passed all that. Only when an order was placed is said anew: the attempts' events have the same ids, so one
//     lands. If the command has an effect there, and those before it too, it must have one on the base as well; else the row ends before it.
//  5. The command has an effect: append reserved with the base's revision, and its effect on the base, to the claim, unless its latest
//     reservation is of that base. A conflict: a rival attempt of the same key moved on; the command leaves the row, the others are
//     decided again without it, and it starts again at 1. If the claim was empty when it was read, its events may have aged out, and their
//     numbers not: then an event that binds nothing is appended to it first, wherever it ends, so that 1 finds a revision to append after.
//  6. Append the row's events to the target at the base's revision. A conflict: another command was faster; all start
//     again at 1.
//  7. The row has landed, or nobody in it had an effect and the base was found to stand. The command has none: append answered
//     to the claim, after reserved if it is not bound, in one append. That is the answer. A conflict: start again at 1. It
//     was refused, and may have been for what is not in its stream (placing an order, putting a product on sale): append refused to the claim. That
//     is the answer. A conflict: start again at 1. It was refused by its stream: read the claim. If it is what it was in 1 and 5, that is the
//     answer; else start again at 1.
//
// A creation can have an effect on an empty stream only, so it takes it for empty the first time. Two requests of one key never stand in
// one row: the second waits for what the first is answered. Who is refused asks again and again, so a refusal by the stream leaves nothing, and
// of those that stand at the end of a claim only the last is read: it says how many they are.
//
// What a crash leaves behind, and what the retry then does:
//
//   - before 5: nothing. The retry is the first.
//   - between 5 and 6: reservations without effects. The retry reads its own in 1. If the stream is where it was, it appends what was
//     reserved; else it decides on what is there by then. Nothing had been answered, so nothing is taken back.
//   - during 6, the outcome unknown: the row is there or not, as a whole, and 3 tells. Appending it again is harmless, as the
//     log knows its ids; appending one command of it, or another row, at the same base conflicts if the row is there, and makes the
//     row conflict if it is not.
//   - after 6, before the answer: the retry finds the events in 3. Of those without an effect nothing is left, and they had no
//     answer.
//   - during or after 7: the answer is there, or the retry is the first.
//
// Why two attempts of one key, at once or with one asleep for an hour, cannot have an effect and also answer that there is
// none, or that it is refused: every effect is preceded by its reservation, and either answer stands only if no reservation
// was made until then that it has not read. It was decided at a revision read after that, so the target stands at the reserved base or beyond.
// Beyond it, the sleeper's append conflicts, and it then reads the claim anew. At it, the command has the reserved effect, by 4; so
// whoever answers otherwise stood behind others of a row, which have landed before the answer: beyond. And who had read the claim
// before the answer, but not reserved yet, conflicts in 5. After an answer without effect it finds that answer; after a
// refusal it is decided anew, like the same request sent again. A refusal by the stream leaves nothing to conflict with, and need not: to be
// decided anew where the stream stands comes to the same, and elsewhere the append conflicts. So it is with an e-mail address: whoever
// takes it from a member writes to the member's stream first (emails.go).
//
// Why they cannot have two effects: the later reservation was made by an attempt that had read the earlier ones (the claim's
// revision says so), had then brought its base up to date, and had found nothing in their windows. So their appends had not landed at
// its base. If it is the reserved base, one append of the two lands; if it is beyond, the earlier ones conflict for ever.
//
// # Caveats
//
//   - Without a key a request repeated by the client is another command. The appends within one request are safe to
//     repeat, and are repeated a few times when the log does not answer.
//   - Claims are kept for ever. Deleting them (say, by $maxAge) ends the memory of what went under those keys, which can be used anew; an answer of which
//     the request is gone is none.
//   - An event store takes an append after the last event of a stream that was deleted, though that event is gone. So a process that
//     knows a stream goes on from what it knows for as long as Trust after the stream was deleted.
//   - Reservations of releases that wrote no events into them bind as before: an attempt that one of them holds up can have its effect after a
//     retry was refused on account of other streams or the clock.
//   - A deleted stream that is written again continues its numbering in the log; the revision answered for the first
//     command after that counts from zero.
package command
