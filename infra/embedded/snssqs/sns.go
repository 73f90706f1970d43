package snssqs

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
)

// form is a query request: its fields, and the lists and maps that AWS spells as numbered fields.
type form struct{ url.Values }

// eachMember calls f for 1, 2, … of a numbered list, with the prefix of that member's own fields, while last of them is
// a field of the request.
func (f form) eachMember(prefix string, present []string, do func(member string) *apiError) *apiError {
	for i := 1; ; i++ {
		member := prefix + "." + strconv.Itoa(i)
		if !f.hasAny(member, present) {
			return nil
		}
		if err := do(member); err != nil {
			return err
		}
	}
}

func (f form) hasAny(member string, fields []string) bool {
	for _, field := range fields {
		if f.Has(member + field) {
			return true
		}
	}
	return false
}

// stringMap reads prefix.entry.N.key and .value.
func (f form) stringMap(prefix string) map[string]string {
	out := map[string]string{}
	for i := 1; ; i++ {
		entry := prefix + ".entry." + strconv.Itoa(i)
		if !f.Has(entry + ".key") {
			return out
		}
		out[f.Get(entry+".key")] = f.Get(entry + ".value")
	}
}

// messageAttributes reads prefix.entry.N.Name and .Value.*, and refuses what SNS refuses.
func (f form) messageAttributes(prefix string) (attributes, *apiError) {
	var out attributes
	err := f.eachMember(prefix+".entry", []string{".Name"}, func(entry string) *apiError {
		a := attribute{DataType: f.Get(entry + ".Value.DataType")}
		if value := entry + ".Value.StringValue"; f.Has(value) {
			text := f.Get(value)
			a.StringValue = &text
		}
		if value := f.Get(entry + ".Value.BinaryValue"); value != "" {
			raw, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return refuse("InvalidParameter", "Invalid parameter: the binary value of an attribute is not base64")
			}
			a.BinaryValue = raw
		}
		if out == nil {
			out = attributes{}
		}
		out[f.Get(entry+".Name")] = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := out.check(); err != nil {
		return nil, refuse("ParameterValueInvalid", "%s", err.message)
	}
	return out, nil
}

// answer is the result of an SNS operation, as the inside of its XML element.
type answer struct{ bytes.Buffer }

func (a *answer) text(name, value string) {
	a.open(name)
	// A bytes.Buffer takes every write.
	_ = xml.EscapeText(a, []byte(value))
	a.end(name)
}

func (a *answer) open(name string) {
	a.WriteByte('<')
	a.WriteString(name)
	a.WriteByte('>')
}

func (a *answer) end(name string) {
	a.WriteString("</")
	a.WriteString(name)
	a.WriteByte('>')
}

func (a *answer) pairs(keys []string, values map[string]string) {
	a.open("Attributes")
	for _, key := range keys {
		a.open("entry")
		a.text("key", key)
		a.text("value", values[key])
		a.end("entry")
	}
	a.end("Attributes")
}

type snsOperation func(s *Server, f form, out *answer) *apiError

var snsOperations = map[string]snsOperation{
	"CreateTopic":               (*Server).createTopic,
	"DeleteTopic":               (*Server).deleteTopic,
	"ListTopics":                (*Server).listTopics,
	"GetTopicAttributes":        (*Server).getTopicAttributes,
	"SetTopicAttributes":        (*Server).setTopicAttributes,
	"Subscribe":                 (*Server).subscribe,
	"Unsubscribe":               (*Server).unsubscribe,
	"ListSubscriptionsByTopic":  (*Server).listSubscriptionsByTopic,
	"GetSubscriptionAttributes": (*Server).getSubscriptionAttributes,
	"SetSubscriptionAttributes": (*Server).setSubscriptionAttributes,
	"Publish":                   (*Server).publish,
	"PublishBatch":              (*Server).publishBatch,
}

const (
	snsNamespace = "http://sns.amazonaws.com/doc/2010-03-31/"
	sqsNamespace = "http://queue.amazonaws.com/doc/2012-11-05/"
)

func (s *Server) serveSNS(w http.ResponseWriter, id string, values url.Values, unavailable bool) {
	action := values.Get("Action")
	var out answer
	refused := s.callSNS(action, form{values}, &out, unavailable)
	if refused != nil {
		writeQueryError(w, snsNamespace, id, refused)
		return
	}
	writeQueryResult(w, snsNamespace, action, id, out.Bytes())
}

func (s *Server) callSNS(action string, f form, out *answer, unavailable bool) *apiError {
	if unavailable {
		return errServiceUnavailable()
	}
	if f.Get("Version") != snsVersion {
		return refuse("InvalidAction", "Version %q is neither that of SNS nor that of SQS.", f.Get("Version"))
	}
	operation, ok := snsOperations[action]
	if !ok {
		return refuse("InvalidAction", "The action %s is not served here.", action)
	}
	return operation(s, f, out)
}

func writeQueryResult(w http.ResponseWriter, namespace, action, id string, result []byte) {
	var doc answer
	doc.WriteString(`<` + action + `Response xmlns="` + namespace + `">`)
	if len(result) > 0 {
		doc.open(action + "Result")
		doc.Write(result)
		doc.end(action + "Result")
	}
	doc.open("ResponseMetadata")
	doc.text("RequestId", id)
	doc.end("ResponseMetadata")
	doc.end(action + "Response")
	w.Header().Set("Content-Type", contentXML)
	writeAnswer(w, http.StatusOK, doc.Bytes())
}

func writeQueryError(w http.ResponseWriter, namespace, id string, refused *apiError) {
	var doc answer
	doc.WriteString(`<ErrorResponse xmlns="` + namespace + `">`)
	doc.open("Error")
	doc.text("Type", refused.faultName())
	doc.text("Code", refused.queryCode())
	doc.text("Message", refused.message)
	doc.end("Error")
	doc.text("RequestId", id)
	doc.end("ErrorResponse")
	w.Header().Set("Content-Type", contentXML)
	writeAnswer(w, refused.status, doc.Bytes())
}
