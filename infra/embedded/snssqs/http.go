package snssqs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// maxRequest is above anything within the limits of the services, however it is escaped.
const maxRequest = 8 << 20

const (
	sqsTarget     = "AmazonSQS."
	snsVersion    = "2010-03-31"
	sqsVersion    = "2012-11-05"
	contentJSON   = "application/x-amz-json-1.0"
	contentXML    = "text/xml"
	contentForm   = "application/x-www-form-urlencoded"
	headerQuery   = "X-Amzn-Query-Error"
	headerRequest = "X-Amzn-Requestid"
)

// ServeHTTP answers one request of either service. It lets a Server stand behind another listener, too.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set(headerRequest, id)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		s.serveHealth(w, r)
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		}
		return // the client went away: nobody reads an answer
	}
	unavailable := s.dice.attempt(failRequest).fail
	if op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), sqsTarget); ok {
		s.serveSQSJSON(w, r, op, body, unavailable)
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), contentForm) {
		http.Error(w, "neither SQS (X-Amz-Target) nor a query request", http.StatusBadRequest)
		return
	}
	if form.Get("Version") == sqsVersion {
		s.serveSQSQuery(w, r, id, form, unavailable)
		return
	}
	s.serveSNS(w, id, form, unavailable)
}

// readBody reads a request at once into as much memory as it says it needs.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= maxRequest {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxRequest))
	return body.Bytes(), err
}

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && r.URL.Path != "/health" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"services":{"sns":"running","sqs":"running"}}`+"\n") // a client gone needs no answer
}

func errServiceUnavailable() *apiError {
	return &apiError{code: "ServiceUnavailable", status: http.StatusServiceUnavailable, message: "injected fault"}
}

// call is one request as an SQS operation sees it.
type call struct {
	ctx  context.Context
	host string // as the client wrote it: queue URLs name the server the same way
	into func(input any) error
}

func (s *Server) serveSQSJSON(w http.ResponseWriter, r *http.Request, op string, body []byte, unavailable bool) {
	c := call{ctx: r.Context(), host: r.Host, into: func(input any) error { return json.Unmarshal(body, input) }}
	output, refused := s.callSQS(op, c, unavailable)
	w.Header().Set("Content-Type", contentJSON)
	status := http.StatusOK
	if refused != nil {
		w.Header().Set(headerQuery, refused.queryCode()+";"+refused.faultName())
		status = refused.status
		output = map[string]string{"__type": "com.amazonaws.sqs#" + refused.code, "message": refused.message}
	}
	answer, err := json.Marshal(output)
	if err != nil {
		s.cfg.Logger.Error("sqs answer", "operation", op, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	writeAnswer(w, status, answer)
}

func writeAnswer(w http.ResponseWriter, status int, answer []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(status)
	_, _ = w.Write(answer) // it fails only when the client has gone
}

// callSQS runs one operation, whichever protocol it came by.
func (s *Server) callSQS(op string, c call, unavailable bool) (any, *apiError) {
	if unavailable {
		return nil, errServiceUnavailable()
	}
	operation, ok := sqsOperations[op]
	if !ok {
		return nil, refuseSQS("UnsupportedOperation", "The operation %s is not served here.", op)
	}
	return operation(s, c)
}

type operation func(*Server, call) (any, *apiError)

// typed makes an operation of a function over its input, which has a queue or not.
func typed[In any](run func(*Server, call, In) (any, *apiError)) operation {
	return func(s *Server, c call) (any, *apiError) {
		var in In
		if err := c.into(&in); err != nil {
			return nil, refuse("InvalidParameterValue", "The request cannot be read: %v", err)
		}
		return run(s, c, in)
	}
}

var sqsOperations = map[string]operation{
	"CreateQueue":                  typed((*Server).createQueue),
	"GetQueueUrl":                  typed((*Server).getQueueURL),
	"GetQueueAttributes":           typed((*Server).getQueueAttributes),
	"SetQueueAttributes":           typed((*Server).setQueueAttributes),
	"ListQueues":                   typed((*Server).listQueues),
	"ListDeadLetterSourceQueues":   typed((*Server).listDeadLetterSources),
	"DeleteQueue":                  typed((*Server).deleteQueue),
	"PurgeQueue":                   typed((*Server).purgeQueue),
	"SendMessage":                  typed((*Server).sendMessage),
	"SendMessageBatch":             typed((*Server).sendMessageBatch),
	"ReceiveMessage":               typed((*Server).receiveMessage),
	"DeleteMessage":                typed((*Server).deleteMessage),
	"DeleteMessageBatch":           typed((*Server).deleteMessageBatch),
	"ChangeMessageVisibility":      typed((*Server).changeVisibility),
	"ChangeMessageVisibilityBatch": typed((*Server).changeVisibilityBatch),
}
