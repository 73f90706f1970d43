// Package snssqs is an SNS and SQS endpoint in the process: one HTTP server that an unchanged AWS SDK talks to when
// AWS_ENDPOINT_URL names it. It exists so that a program built on SNS and SQS can be run and tested whole, on one
// machine, with the semantics that decide correctness: at-least-once delivery, visibility timeouts, receive counts,
// dead-letter queues, filter policies, partial failures of batches. Its faults (see Faults) make it worse than AWS on purpose.
//
// # What it promises
//
//   - State belongs to the Server value, is held in memory, and ends with Close. Any number of servers may run at once.
//   - Every method and every request is safe for concurrent use.
//   - A long poll is answered the moment a message can be had: when one is sent, when its delay ends, when its visibility
//     timeout runs out. Nothing sleeps in between; each queue has one timer, for the next of its messages to become due.
//   - A message leaves a queue by being deleted, by its retention period, or for the dead-letter queue.
//   - Errors carry the codes of AWS, so that a client's typed errors work.
//
// # How a message travels
//
//	Publish ─► topic ─► each subscription: filter policy ─► raw body or JSON envelope ─► queue: ready
//	    ready ─ReceiveMessage─► in flight ─DeleteMessage─► gone
//	      ▲                        │
//	      └── visibility ran out ──┘   (received maxReceiveCount times: on to the dead-letter queue)
//
// SQS is spoken as awsJson1.0 and as the older query protocol, SNS as awsquery.
//
// # Caveats
//
// Standard queues and topics only: asking for FIFO is an error. Subscriptions go to SQS only, and filter on message
// attributes only. Signatures, credentials, policies, encryption settings and tags are accepted and not enforced. One
// server is one account in one region, whatever region a client signs for.
package snssqs
