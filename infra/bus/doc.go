// Package bus carries domain events from the relay to the views over Amazon SNS and SQS, or over anything that speaks
// their protocols. It is at-least-once and unordered, and promises no more.
//
//	Publish ─► SNS topic <topic>-events ─► filter on category ─► SQS queue <topic>-<view> ─► Receive … Delete
//	                                                                  └─ received too often ─► <topic>-<view>-dlq
//
// # The message
//
// A message is a CloudEvents 1.0 event in structured JSON, whose data is the event's own JSON, byte for byte. It carries
// the event's metadata, too, so that a view folding an event from a message and one folding it from the event store see
// the same. An event too large for SNS travels hollow, without both. See message.go.
//
// # Absence and return
//
// Connect needs no server. While the endpoint is away, calls fail with event.ErrUnavailable. When it returns without its
// queues, as one in memory does, they fail with event.ErrNotProvisioned until someone calls Provision; the same Bus works on.
//
// # Caveats
//
// AWS takes up to 15 minutes to apply a changed filter policy, and up to 60 seconds to apply a queue's attributes. A
// message published in between may go the old way: views heal what they miss from the event store.
package bus
