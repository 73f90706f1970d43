// Package fulfilment is the process manager of orders: it reserves stock and authorises the payment of an order that was
// placed, takes stock out and money in when a parcel leaves, puts both back when it returns, and undoes what was done for
// an order that is cancelled.
//
//	queue ────┐
//	schedule ─┼─► attend ─► drive: load order ─► order.Next ─► carry out the step ─► record its outcome ─┐
//	sweep ────┤      │                 ▲                                                               │
//	hint ─────┘      │                 └───────────────── again, until there is no step ◄───────────────┘
//	                 └─► a step failed: noted in the schedule, when to try again
//
// # Guarantees
//
//   - The rule is order.Next, pure, over the order's own stream, where the outcome of each step is an event too. The
//     manager itself remembers nothing that matters: any number of them may run, and be killed, anywhere.
//   - Each step is done once, however often it is taken: stock moves under a command id of the step, which is claimed; the
//     gateway gets an idempotency key of the step; payment and order are decided by their states.
//   - An order that needs something is attended to by whoever hears of it first: the hint in the same process, the queue, the
//     schedule. Each of them may be lost. The sweep, which follows the log some seconds behind, finds what they
//     missed. With SNS, SQS and Redis all gone it carries everything alone.
//   - A step that fails does not hold up other orders. It is tried again after a pause that grows, and its deadline is kept
//     across the death of all processes, in the schedule, and across the death of that, in the log.
//   - An order that no retry cures, such as one with an event that cannot be read, or that the gateway rejects, is tried
//     again likewise, and reported under LoopOrders until a try succeeds.
//
// # Finish and undo
//
// A worker may sleep over a step for an hour and take it then. For stock it finds that the step has been taken: it is
// claimed. So who cancels an order first finishes what may be under way (it reserves what a sleeper could), then undoes
// it, and nothing can land after that. For a payment, Voided closes the door: a request after it is refused, and an
// authorisation after a void is one that the gateway declines.
package fulfilment
