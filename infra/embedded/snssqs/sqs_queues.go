package snssqs

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// whole is an integer that the query protocol writes as a string; set tells 0 from absent.
type whole struct {
	value int
	set   bool
}

func (n *whole) UnmarshalJSON(b []byte) error {
	var number json.Number // takes a number and a string of one
	if err := json.Unmarshal(b, &number); err != nil {
		return err
	}
	if number == "" {
		return nil
	}
	v, err := strconv.Atoi(number.String())
	n.value, n.set = v, err == nil
	return err
}

type noOutput struct{}

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
}

type queueURLOutput struct{ QueueUrl string }

func (s *Server) createQueue(c call, in createQueueInput) (any, *apiError) {
	if in.Attributes["FifoQueue"] == "true" {
		return nil, errFIFO()
	}
	if err := validQueueName(in.QueueName); err != nil {
		return nil, err
	}
	if err := checkSettings(in.Attributes, s.hasQueueARN); err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	s.mu.Lock()
	q, exists := s.queues[in.QueueName]
	if !exists {
		q = newQueue(s, in.QueueName, defaultSettings(now).with(in.Attributes, now))
		s.queues[in.QueueName] = q
	}
	s.mu.Unlock()
	if exists {
		if name := q.currentSettings().differs(in.Attributes); name != "" {
			err := refuse("QueueNameExists", "A queue already exists with the same name and a different value for attribute %s", name)
			err.legacy = "QueueAlreadyExists"
			return nil, err
		}
	}
	return queueURLOutput{s.queueURL(c, in.QueueName)}, nil
}

// queueURL names a queue by the host the client already reaches the server under.
func (s *Server) queueURL(c call, name string) string {
	return "http://" + c.host + "/" + s.cfg.AccountID + "/" + name
}

// queueAt finds a queue by its URL, of which only the last part matters.
func (s *Server) queueAt(url string) (*queue, *apiError) {
	if url == "" {
		return nil, errMissing("QueueUrl")
	}
	q := s.queueNamed(url[strings.LastIndexByte(url, '/')+1:])
	if q == nil {
		return nil, errNoQueue()
	}
	return q, nil
}

func (s *Server) queueWithARN(arn string) *queue {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	if q := s.queueNamed(name); q != nil && q.arn == arn {
		return q
	}
	return nil
}

func (s *Server) hasQueueARN(arn string) bool { return s.queueWithARN(arn) != nil }

type getQueueURLInput struct{ QueueName string }

func (s *Server) getQueueURL(c call, in getQueueURLInput) (any, *apiError) {
	if s.queueNamed(in.QueueName) == nil {
		return nil, errNoQueue()
	}
	return queueURLOutput{s.queueURL(c, in.QueueName)}, nil
}

type getQueueAttributesInput struct {
	QueueUrl       string
	AttributeNames []string
}

type attributesOutput struct {
	Attributes map[string]string `json:",omitempty"`
}

func (s *Server) getQueueAttributes(_ call, in getQueueAttributesInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	described, err := q.describe(in.AttributeNames)
	return attributesOutput{described}, err
}

type setQueueAttributesInput struct {
	QueueUrl   string
	Attributes map[string]string
}

func (s *Server) setQueueAttributes(_ call, in setQueueAttributesInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return noOutput{}, q.change(in.Attributes, s.hasQueueARN)
}

type listQueuesInput struct {
	QueueNamePrefix string
	MaxResults      whole
	NextToken       string
}

type listQueuesOutput struct {
	QueueUrls []string `json:",omitempty"`
	NextToken string   `json:",omitempty"`
}

const maxListed = 1000

func (s *Server) listQueues(c call, in listQueuesInput) (any, *apiError) {
	names := slices.DeleteFunc(s.Queues(), func(name string) bool { return !strings.HasPrefix(name, in.QueueNamePrefix) })
	page, next := pageAfter(names, in.NextToken, in.MaxResults)
	out := listQueuesOutput{NextToken: next}
	for _, name := range page {
		out.QueueUrls = append(out.QueueUrls, s.queueURL(c, name))
	}
	return out, nil
}

// pageAfter cuts one page from sorted names. Its token is the last name of the page before.
func pageAfter(names []string, token string, limit whole) (page []string, next string) {
	start, found := slices.BinarySearch(names, token)
	if found {
		start++
	}
	size := maxListed
	if limit.set && limit.value > 0 {
		size = min(limit.value, maxListed)
	}
	page = names[start:]
	if len(page) > size {
		page = page[:size]
		next = page[size-1]
	}
	return page, next
}

type deadLetterSourcesInput struct {
	QueueUrl   string
	MaxResults whole
	NextToken  string
}

type deadLetterSourcesOutput struct {
	QueueUrls []string `json:"queueUrls"` // AWS spells this one small
	NextToken string   `json:",omitempty"`
}

func (s *Server) listDeadLetterSources(c call, in deadLetterSourcesInput) (any, *apiError) {
	target, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, q := range s.allQueues() {
		if q.deadLetterARN() == target.arn {
			names = append(names, q.name)
		}
	}
	slices.Sort(names)
	page, next := pageAfter(names, in.NextToken, in.MaxResults)
	out := deadLetterSourcesOutput{QueueUrls: []string{}, NextToken: next}
	for _, name := range page {
		out.QueueUrls = append(out.QueueUrls, s.queueURL(c, name))
	}
	return out, nil
}

type queueInput struct{ QueueUrl string }

// deleteQueue forgets the queue at once; unlike AWS it lets the name be used again at once, too.
func (s *Server) deleteQueue(_ call, in queueInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.queues[q.name] == q {
		delete(s.queues, q.name)
	}
	s.mu.Unlock()
	q.close()
	return noOutput{}, nil
}

func (s *Server) purgeQueue(_ call, in queueInput) (any, *apiError) {
	q, err := s.queueAt(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return noOutput{}, q.purge()
}
