package snssqs

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxWaitSeconds       = 20
	maxVisibilitySeconds = 43200
	senderID             = "AIDAJANGBULOCAL" // nobody is authenticated: one sender for all
)

type receiveInput struct {
	QueueUrl                    string
	MaxNumberOfMessages         whole
	VisibilityTimeout           whole
	WaitTimeSeconds             whole
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
}

type receiveOutput struct {
	Messages []messageOutput `json:",omitempty"`
}

type messageOutput struct {
	MessageId              string
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string `json:",omitempty"`
	MD5OfMessageAttributes string            `json:",omitempty"`
	MessageAttributes      attributes        `json:",omitempty"`
}

func (in receiveInput) check() *apiError {
	out := func(n whole, name string, low, high int) *apiError {
		if !n.set || (n.value >= low && n.value <= high) {
			return nil
		}
		return refuse("InvalidParameterValue", "Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", n.value, name, low, high)
	}
	for _, err := range []*apiError{
		out(in.MaxNumberOfMessages, "MaxNumberOfMessages", 1, maxBatchEntries),
		out(in.WaitTimeSeconds, "WaitTimeSeconds", 0, maxWaitSeconds),
		out(in.VisibilityTimeout, "VisibilityTimeout", 0, maxVisibilitySeconds),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) receiveMessage(c call, in receiveInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	fate := s.dice.attempt(failReceive)
	if !fate.do {
		return nil, errInjected()
	}
	got, err := s.receive(c, q, in)
	if err != nil {
		return nil, err
	}
	if fate.fail {
		return nil, errInjected()
	}
	var out receiveOutput
	for _, m := range got {
		out.Messages = append(out.Messages, in.describe(m))
	}
	return out, nil
}

// receive takes messages, waiting for the first one as long as the request and the queue allow.
func (s *Server) receive(c call, q *queue, in receiveInput) ([]received, *apiError) {
	count, visibility, wait := 1, time.Duration(-1), q.currentSettings().wait
	if in.MaxNumberOfMessages.set {
		count = in.MaxNumberOfMessages.value
	}
	if in.VisibilityTimeout.set {
		visibility = time.Duration(in.VisibilityTimeout.value) * time.Second
	}
	if in.WaitTimeSeconds.set {
		wait = time.Duration(in.WaitTimeSeconds.value) * time.Second
	}
	var timeout <-chan time.Time
	for {
		got, err := s.takeAndRedrive(q, count, visibility)
		if err != nil || len(got) > 0 || wait <= 0 {
			return got, err
		}
		if timeout == nil {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			timeout = timer.C
		}
		if !q.wait(c.ctx, timeout, s.closing) {
			return nil, nil
		}
	}
}

// takeAndRedrive takes messages and moves those received too often to the dead-letter queue.
func (s *Server) takeAndRedrive(q *queue, count int, visibility time.Duration) ([]received, *apiError) {
	var deadLetters *queue
	if arn := q.deadLetterARN(); arn != "" {
		deadLetters = s.queueWithARN(arn)
	}
	got, dead, err := q.take(count, visibility, deadLetters)
	if len(dead) > 0 {
		deadLetters.enqueue(dead...)
	}
	return got, err
}

// describe says of a received message what was asked for.
func (in receiveInput) describe(m received) messageOutput {
	out := messageOutput{MessageId: m.id, ReceiptHandle: m.receipt, MD5OfBody: m.bodyMD5, Body: m.body,
		Attributes: in.systemAttributes(m)}
	if len(m.attrs) == 0 || len(in.MessageAttributeNames) == 0 {
		return out
	}
	chosen := attributes{}
	for name, a := range m.attrs {
		if slices.ContainsFunc(in.MessageAttributeNames, func(wanted string) bool { return nameMatches(wanted, name) }) {
			chosen[name] = a
		}
	}
	if len(chosen) == 0 {
		return out
	}
	out.MessageAttributes, out.MD5OfMessageAttributes = chosen, m.attrsMD5
	if len(chosen) < len(m.attrs) {
		out.MD5OfMessageAttributes = chosen.md5()
	}
	return out
}

// nameMatches reads the forms a wanted attribute name may have: itself, "All", ".*" and "prefix.*".
func nameMatches(wanted, name string) bool {
	if wanted == "All" || wanted == name {
		return true
	}
	prefix, ok := strings.CutSuffix(wanted, ".*")
	return ok && strings.HasPrefix(name, prefix)
}

func (in receiveInput) systemAttributes(m received) map[string]string {
	if len(in.AttributeNames) == 0 && len(in.MessageSystemAttributeNames) == 0 {
		return nil
	}
	out := map[string]string{}
	add := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	for _, names := range [2][]string{in.AttributeNames, in.MessageSystemAttributeNames} {
		for _, name := range names {
			all := name == "All"
			if all || name == "ApproximateReceiveCount" {
				add("ApproximateReceiveCount", strconv.Itoa(m.receives))
			}
			if all || name == "ApproximateFirstReceiveTimestamp" {
				add("ApproximateFirstReceiveTimestamp", strconv.FormatInt(m.first.UnixMilli(), 10))
			}
			if all || name == "SentTimestamp" {
				add("SentTimestamp", strconv.FormatInt(m.sent.UnixMilli(), 10))
			}
			if all || name == "SenderId" {
				add("SenderId", senderID)
			}
			if all || name == "AWSTraceHeader" {
				add("AWSTraceHeader", m.trace)
			}
			if all || name == "DeadLetterQueueSourceArn" {
				add("DeadLetterQueueSourceArn", m.deadFrom)
			}
		}
	}
	return out
}

// receiptEntry is a received message to delete or to hide, alone or in a batch.
type receiptEntry struct {
	Id                string
	ReceiptHandle     string
	VisibilityTimeout whole
}

type receiptInput struct {
	QueueUrl string
	receiptEntry
}

type receiptBatchInput struct {
	QueueUrl string
	Entries  []receiptEntry
}

type entryID struct{ Id string }

func (q *queue) delete(e receiptEntry) *apiError {
	if e.ReceiptHandle == "" {
		return errMissing("ReceiptHandle")
	}
	return q.attempt(failDelete, func() *apiError { return q.remove(e.ReceiptHandle) })
}

func (q *queue) changeVisibility(e receiptEntry) *apiError {
	switch n := e.VisibilityTimeout; {
	case e.ReceiptHandle == "":
		return errMissing("ReceiptHandle")
	case !n.set:
		return errMissing("VisibilityTimeout")
	case n.value < 0 || n.value > maxVisibilitySeconds:
		return refuse("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and %d.", n.value, maxVisibilitySeconds)
	}
	return q.attempt(failVisibility, func() *apiError {
		return q.hide(e.ReceiptHandle, time.Duration(e.VisibilityTimeout.value)*time.Second)
	})
}

// attempt does something unless a fault forbids it, and may report failure although it was done.
func (q *queue) attempt(pick func(*Faults) float64, do func() *apiError) *apiError {
	fate := q.dice.attempt(pick)
	if fate.do {
		if err := do(); err != nil {
			return err
		}
	}
	if fate.fail {
		return errInjected()
	}
	return nil
}

func (s *Server) deleteMessage(_ call, in receiptInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return noOutput{}, q.delete(in.receiptEntry)
}

func (s *Server) changeVisibility(_ call, in receiptInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return noOutput{}, q.changeVisibility(in.receiptEntry)
}

func (s *Server) deleteMessageBatch(_ call, in receiptBatchInput) (any, *apiError) {
	return s.eachReceipt(in, (*queue).delete)
}

func (s *Server) changeVisibilityBatch(_ call, in receiptBatchInput) (any, *apiError) {
	return s.eachReceipt(in, (*queue).changeVisibility)
}

// eachReceipt does the same to every entry and reports each one's success by its id.
func (s *Server) eachReceipt(in receiptBatchInput, do func(*queue, receiptEntry) *apiError) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, func(e receiptEntry) string { return e.Id }); err != nil {
		return nil, err
	}
	out := newBatchOutput[entryID]()
	for _, e := range in.Entries {
		if err := do(q, e); err != nil {
			out.Failed = append(out.Failed, failureOf(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, entryID{e.Id})
	}
	return out, nil
}
