package snssqs

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// publication is one message to publish, alone or in a batch, after its checks.
type publication struct {
	id      string
	subject string
	text    string // for raw delivery and for the envelope
	attrs   attributes
	shared  *content // raw delivery: made once, for however many queues
}

// readPublication reads the fields of a message. In a batch they carry the entry's prefix.
func (f form) readPublication(prefix string) (publication, *apiError) {
	p := publication{id: uuid.NewString(), subject: f.Get(prefix + "Subject"), text: f.Get(prefix + "Message")}
	if p.text == "" {
		return p, refuse("InvalidParameter", "Invalid parameter: Empty message")
	}
	if !validText(p.text) {
		return p, refuse("InvalidParameter", "Invalid parameter: Message contains characters outside the allowed set")
	}
	if utf8.RuneCountInString(p.subject) > 100 || !utf8.ValidString(p.subject) || strings.ContainsFunc(p.subject, unicode.IsControl) {
		return p, refuse("InvalidParameter", "Invalid parameter: Subject")
	}
	if f.Has(prefix + "MessageDeduplicationId") {
		return p, refuse("InvalidParameter", "Invalid parameter: %s", errFIFO().message)
	}
	switch structure := f.Get(prefix + "MessageStructure"); structure {
	case "":
	case "json":
		text, err := textForQueues(p.text)
		if err != nil {
			return p, err
		}
		p.text = text
	default:
		return p, refuse("InvalidParameter", "Invalid parameter: MessageStructure %q", structure)
	}
	var err *apiError
	p.attrs, err = f.messageAttributes(prefix + "MessageAttributes")
	return p, err
}

// textForQueues picks, from a message written separately for each protocol, the one for SQS.
func textForQueues(message string) (string, *apiError) {
	var byProtocol map[string]string
	if json.Unmarshal([]byte(message), &byProtocol) != nil {
		return "", refuse("InvalidParameter", "Invalid parameter: Message Structure - JSON message body failed to parse")
	}
	if text, ok := byProtocol["sqs"]; ok {
		return text, nil
	}
	text, ok := byProtocol["default"]
	if !ok {
		return "", refuse("InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body")
	}
	return text, nil
}

func (p publication) size() int { return len(p.text) + p.attrs.size() }

func (s *Server) publish(f form, out *answer) *apiError {
	arn := f.Get("TopicArn")
	if arn == "" {
		arn = f.Get("TargetArn")
	}
	t, err := s.topicAt(arn)
	if err != nil {
		return err
	}
	p, err := f.readPublication("")
	if err != nil {
		return err
	}
	if p.size() > maxTopicMessage {
		return refuse("InvalidParameter", "Invalid parameter: Message too long")
	}
	fate := s.dice.attempt(failPublish)
	if fate.do {
		s.fanOut(t, []publication{p})
	}
	if fate.fail {
		return errInjected()
	}
	out.text("MessageId", p.id)
	return nil
}

// batchEntry is one entry of PublishBatch: its id and the prefix of its fields.
type batchEntry struct{ id, prefix string }

func (s *Server) publishBatch(f form, out *answer) *apiError {
	t, err := s.topicAt(f.Get("TopicArn"))
	if err != nil {
		return err
	}
	var entries []batchEntry
	// A loop over what is present cannot fail.
	_ = f.eachMember("PublishBatchRequestEntries.member", []string{".Id", ".Message"}, func(member string) *apiError {
		entries = append(entries, batchEntry{f.Get(member + ".Id"), member + "."})
		return nil
	})
	if err := checkBatch(entries, func(e batchEntry) string { return e.id }); err != nil {
		return refuse(err.code, "%s", err.message)
	}
	read := make([]publication, len(entries))
	refused := make([]*apiError, len(entries))
	total := 0
	for i, e := range entries {
		read[i], refused[i] = f.readPublication(e.prefix)
		total += read[i].size()
	}
	if total > maxTopicMessage {
		return refuse("BatchRequestTooLong", "The length of all the batch messages put together is more than the limit.")
	}
	var accepted []publication
	for i := range entries {
		if refused[i] != nil {
			continue
		}
		fate := s.dice.attempt(failPublish)
		if fate.do {
			accepted = append(accepted, read[i])
		}
		if fate.fail {
			refused[i] = errInjected()
		}
	}
	s.fanOut(t, accepted)
	writeBatchResult(out, entries, read, refused)
	return nil
}

func writeBatchResult(out *answer, entries []batchEntry, read []publication, refused []*apiError) {
	out.open("Successful")
	for i, e := range entries {
		if refused[i] == nil {
			out.open("member")
			out.text("Id", e.id)
			out.text("MessageId", read[i].id)
			out.end("member")
		}
	}
	out.end("Successful")
	out.open("Failed")
	for i, e := range entries {
		if err := refused[i]; err != nil {
			sender := "false"
			if err.sender() {
				sender = "true"
			}
			out.open("member")
			out.text("Id", e.id)
			out.text("Code", err.queryCode())
			out.text("Message", err.message)
			out.text("SenderFault", sender)
			out.end("member")
		}
	}
	out.end("Failed")
}

// fanOut delivers messages to every subscription whose filter they pass. A queue gets all of its share at once.
func (s *Server) fanOut(t *topic, messages []publication) {
	for _, sub := range t.current() {
		q := s.queueWithARN(sub.endpoint)
		if q == nil {
			continue // the queue was deleted; as with AWS, its deliveries are lost
		}
		var arrivals []arrival
		for i := range messages {
			p := &messages[i]
			if sub.filter != nil && !sub.filter.matches(p.attrs) {
				continue
			}
			if sub.raw && len(p.attrs) > maxRawAttributes {
				continue
			}
			arrivals = append(arrivals, newArrival(s.deliveryOf(t, sub, p)))
		}
		if len(arrivals) > 0 {
			q.enqueue(arrivals...)
		}
	}
}

func (s *Server) deliveryOf(t *topic, sub *subscription, p *publication) *content {
	if !sub.raw {
		return newContent(s.envelope(t, sub, p), nil)
	}
	if p.shared == nil {
		p.shared = newContent(p.text, p.attrs)
	}
	return p.shared
}

type envelopeAttribute struct{ Type, Value string }

// envelope is the JSON around a message that is not delivered raw. Its signature is none: nobody could check it.
func (s *Server) envelope(t *topic, sub *subscription, p *publication) string {
	attrs := map[string]envelopeAttribute{}
	for name, a := range p.attrs {
		value := a.text()
		if a.isBinary() {
			value = base64.StdEncoding.EncodeToString(a.BinaryValue)
		}
		attrs[name] = envelopeAttribute{a.DataType, value}
	}
	// Strings marshal without fail.
	text, _ := json.Marshal(struct {
		Type              string
		MessageId         string
		TopicArn          string
		Subject           string `json:",omitempty"`
		Message           string
		Timestamp         string
		SignatureVersion  string
		Signature         string
		SigningCertURL    string
		UnsubscribeURL    string
		MessageAttributes map[string]envelopeAttribute `json:",omitempty"`
	}{
		"Notification", p.id, t.arn, p.subject, p.text, s.cfg.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"1", "UNSIGNED", s.URL() + "/SimpleNotificationService.pem",
		s.URL() + "/?Action=Unsubscribe&SubscriptionArn=" + sub.arn, attrs,
	})
	return string(text)
}
