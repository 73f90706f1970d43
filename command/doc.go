// Package command is the POST API: it turns a request into a command, loads the stream it is about, lets the domain
// decide, and appends the events it decides on to the log. It needs nothing but the log; no view is read, no message
// is sent.
//
//	POST ─► decode ─► load stream(s) ─► Decide ─► append at the exact revision ─► 201/200, ETag, Consistency-Token
//	                        ▲                            │
//	                        └──── again, a few times ◄── conflict
//
// # Guarantees
//
//   - A success means that the events are durable, or that the command changed nothing.
//   - Two commands for one stream never both act on the same revision: the loser decides again. After
//     Config.MaxAttempts it is 409 concurrent-change. A client that cares says If-Match, and a mismatch is 412.
//   - A request with an Idempotency-Key is carried out once and answered alike each time, whatever fails in between.
//     The key belongs to the actor (X-Actor) and is bound to method, path and body; with others it is 422
//     idempotency-key-reused. There is no second store: the log remembers.
//   - A refusal binds nothing but the key, and a refusal of the body alone not even that: the same request may succeed
//     later. The key of a creation is bound once its body is well-formed; the key of a change, once it is decided.
//
// # Exactly once
//
// The command id is UUIDv5(actor, key), the id of its n-th event UUIDv5(command id, n), and the id of a thing the server
// names is derived from the command id too. So a repeated request finds the stream and the events of the first one. Two
// things the target stream cannot remember: that the key went with another body, whose stream may be another one, and
// that a command changed nothing. They stand in the claim, the stream idempotency-<command id>:
//
//	idempotency.reserved.v1 {request_hash, stream, expected}  an attempt is about to append to stream after expected
//	idempotency.answered.v1 {revision}                        the command changed nothing; this is its answer for good
//
// One attempt of a keyed request:
//
//  1. Read the claim. Another request's: 422. Answered: that is the answer. The first attempt skips this step; it finds
//     out in 5 or 6, whose append demands that the claim is empty.
//  2. Load the target stream.
//  3. The command's own events stand there: the answer is the revision of the last of them. This comes before If-Match,
//     which the first attempt has passed.
//  4. Judge If-Match and decide. A refusal is the answer, unless the claim, if it has not been read, says otherwise.
//  5. The command has an effect: append reserved with the target's revision to the claim, unless its last event says the
//     same already. A conflict: a rival attempt of the same key moved on; start again at 1.
//  6. The command has none: append answered to the claim, after reserved if it is empty, in one append. That is the
//     answer. A conflict: start again at 1.
//  7. Append the events to the target at the revision that was reserved. A conflict: another command was faster; start
//     again at 1.
//
// A creation can have an effect on an empty stream only, so it skips 2 the first time, and does 5 while it reads what
// 4 needs.
//
// What a crash leaves behind, and what the retry then does:
//
//   - before 5 or 6: nothing. The retry is the first.
//   - between 5 and 7: a reservation without an effect. The retry reads it in 1, decides on what is there by then, and
//     goes on. Nothing had been answered, so nothing is taken back.
//   - during 7, the outcome unknown: the events are there or not, and 3 tells. Appending them again is harmless, as the
//     log knows their ids.
//   - after 7, before the answer: the retry finds the events in 3.
//   - during or after 6: the answer is there, or the retry is the first.
//
// Why two attempts of one key, at once or with one asleep for an hour, cannot have an effect and also answer that there is
// none: every effect is preceded by its reservation, and a no-effect answer lands only if no reservation was made that
// it has not read. The target was loaded after that, so it stands at the reserved revision or beyond. Beyond it, the
// sleeper's append conflicts, and it then reads the answer. At it, the decision is the sleeper's own, which had an effect.
//
// # Caveats
//
//   - Without a key a request repeated by the client is another command. The appends within one request are safe to
//     repeat, and are repeated a few times when the log does not answer.
//   - Claims are kept for ever. Deleting old ones (say, by $maxAge) ends only the memory of commands without effect and of
//     keys under other bodies: the effect itself is remembered by the target.
//   - A deleted stream that is written again continues its numbering in the log; the revision answered for the first
//     command after that counts from zero.
package command
