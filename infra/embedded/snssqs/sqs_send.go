package snssqs

import "time"

type sendInput struct {
	QueueUrl string
	sendEntry
}

// sendEntry is one message to send, alone or in a batch.
type sendEntry struct {
	Id                      string
	MessageBody             *string
	DelaySeconds            whole
	MessageAttributes       attributes
	MessageSystemAttributes attributes
	MessageGroupId          string
	MessageDeduplicationId  string
}

type sendOutput struct {
	Id                           string `json:",omitempty"`
	MessageId                    string
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty"`
}

// accept checks a message against the queue's limits and makes what is to be enqueued and answered.
func (e sendEntry) accept(set settings) (arrival, sendOutput, *apiError) {
	none := func(err *apiError) (arrival, sendOutput, *apiError) { return arrival{}, sendOutput{}, err }
	switch {
	case e.MessageBody == nil || *e.MessageBody == "":
		return none(errMissing("MessageBody"))
	case e.MessageDeduplicationId != "":
		return none(errFIFO())
	case e.size() > set.maxMessage:
		return none(refuse("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", set.maxMessage))
	case len(e.MessageAttributes) > maxRawAttributes:
		return none(refuse("InvalidParameterValue", "Number of message attributes [%d] exceeds the allowed maximum [%d].", len(e.MessageAttributes), maxRawAttributes))
	case !validText(*e.MessageBody):
		return none(refuse("InvalidMessageContents", "Invalid characters found in the message body."))
	case e.DelaySeconds.set && (e.DelaySeconds.value < 0 || e.DelaySeconds.value > 900):
		return none(refuse("InvalidParameterValue", "Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", e.DelaySeconds.value))
	}
	if err := e.MessageAttributes.check(); err != nil {
		return none(err)
	}
	c := newContent(*e.MessageBody, e.MessageAttributes)
	c.trace = e.MessageSystemAttributes["AWSTraceHeader"].text()
	a := newArrival(c)
	if e.DelaySeconds.set {
		a.delay = time.Duration(e.DelaySeconds.value) * time.Second
	}
	return a, sendOutput{Id: e.Id, MessageId: a.id, MD5OfMessageBody: c.bodyMD5, MD5OfMessageAttributes: c.attrsMD5,
		MD5OfMessageSystemAttributes: e.MessageSystemAttributes.md5()}, nil
}

func (e sendEntry) size() int {
	if e.MessageBody == nil {
		return 0
	}
	return len(*e.MessageBody) + e.MessageAttributes.size()
}

func (s *Server) sendMessage(_ call, in sendInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	a, out, err := in.accept(q.currentSettings())
	if err != nil {
		return nil, err
	}
	fate := s.dice.attempt(failSend)
	if fate.do {
		q.enqueue(a)
	}
	if fate.fail {
		return nil, errInjected()
	}
	out.Id = ""
	return out, nil
}

type sendBatchInput struct {
	QueueUrl string
	Entries  []sendEntry
}

// batchFailure is an entry that failed while the request as a whole succeeded.
type batchFailure struct {
	Id          string
	SenderFault bool
	Code        string
	Message     string
}

func failureOf(id string, err *apiError) batchFailure {
	return batchFailure{Id: id, SenderFault: err.sender(), Code: err.queryCode(), Message: err.message}
}

// batchOutput answers every batch operation of SQS. Neither list is ever null: older clients count on both.
type batchOutput[T any] struct {
	Successful []T
	Failed     []batchFailure
}

func newBatchOutput[T any]() batchOutput[T] {
	return batchOutput[T]{Successful: []T{}, Failed: []batchFailure{}}
}

// checkBatch refuses a batch as a whole: none, too many, unfit or equal ids.
func checkBatch[E any](entries []E, id func(E) string) *apiError {
	if len(entries) == 0 {
		return refuseSQS("EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(entries) > maxBatchEntries {
		return refuseSQS("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxBatchEntries, len(entries))
	}
	seen := map[string]bool{}
	for _, e := range entries {
		if !validName(id(e), 80) {
			return refuseSQS("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id(e)] {
			return refuseSQS("BatchEntryIdsNotDistinct", "Id %s repeated.", id(e))
		}
		seen[id(e)] = true
	}
	return nil
}

func (s *Server) sendMessageBatch(_ call, in sendBatchInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.Entries, func(e sendEntry) string { return e.Id }); err != nil {
		return nil, err
	}
	total := 0
	for _, e := range in.Entries {
		total += e.size()
	}
	if total > maxQueueMessage {
		return nil, refuseSQS("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxQueueMessage, total)
	}
	set := q.currentSettings()
	out := newBatchOutput[sendOutput]()
	var arrivals []arrival
	for _, e := range in.Entries {
		a, answer, err := e.accept(set)
		if err != nil {
			out.Failed = append(out.Failed, failureOf(e.Id, err))
			continue
		}
		fate := s.dice.attempt(failSend)
		if fate.do {
			arrivals = append(arrivals, a)
		}
		if fate.fail {
			out.Failed = append(out.Failed, failureOf(e.Id, errInjected()))
			continue
		}
		out.Successful = append(out.Successful, answer)
	}
	q.enqueue(arrivals...)
	return out, nil
}
