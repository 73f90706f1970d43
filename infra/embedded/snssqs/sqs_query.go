package snssqs

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The query protocol of SQS says the same as awsJson1.0 in another notation, so a request is rewritten as JSON and its
// answer from JSON. Lists are numbered fields (AttributeName.1=All); maps are numbered fields of names and values
// (Attribute.1.Name=…&Attribute.1.Value=…).

// queryList is how the query protocol writes a list or map of the JSON one.
type queryList struct {
	member string // its name in JSON
	isMap  bool
}

var queryLists = map[string]queryList{
	"Attribute":                  {"Attributes", true},
	"MessageAttribute":           {"MessageAttributes", true},
	"MessageSystemAttribute":     {"MessageSystemAttributes", true},
	"AttributeName":              {"AttributeNames", false},
	"MessageAttributeName":       {"MessageAttributeNames", false},
	"MessageSystemAttributeName": {"MessageSystemAttributeNames", false},

	"SendMessageBatchRequestEntry":             {"Entries", false},
	"DeleteMessageBatchRequestEntry":           {"Entries", false},
	"ChangeMessageVisibilityBatchRequestEntry": {"Entries", false},
}

func (s *Server) serveSQSQuery(w http.ResponseWriter, r *http.Request, id string, values url.Values, unavailable bool) {
	action := values.Get("Action")
	input := queryToJSON(values)
	if r.URL.Path != "/" && values.Get("QueueUrl") == "" {
		input["QueueUrl"] = r.URL.Path // older clients send to the queue's own URL
	}
	c := call{ctx: r.Context(), host: r.Host, into: func(in any) error {
		doc, err := json.Marshal(input)
		if err != nil {
			return err
		}
		return json.Unmarshal(doc, in)
	}}
	output, refused := s.callSQS(action, c, unavailable)
	if refused != nil {
		writeQueryError(w, sqsNamespace, id, refused)
		return
	}
	result, err := jsonToQuery(action, output)
	if err != nil {
		s.cfg.Logger.Error("sqs answer", "operation", action, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	writeQueryResult(w, sqsNamespace, action, id, result)
}

// queryToJSON turns the fields of one level into what the JSON protocol would say. Values stay strings.
func queryToJSON(values url.Values) map[string]any {
	out := map[string]any{}
	nested := map[string]url.Values{} // first part of the name -> the rest of it
	for name, value := range values {
		first, rest, dotted := strings.Cut(name, ".")
		if !dotted {
			out[name] = value[0]
			continue
		}
		if nested[first] == nil {
			nested[first] = url.Values{}
		}
		nested[first][rest] = value
	}
	for name, inner := range nested {
		list, ok := queryLists[name]
		switch {
		case !ok:
			out[name] = queryToJSON(inner)
		case list.isMap:
			members := map[string]any{}
			for _, member := range queryMembers(inner) {
				if m, ok := member.(map[string]any); ok {
					if key, ok := m["Name"].(string); ok {
						members[key] = m["Value"]
					}
				}
			}
			out[list.member] = members
		default:
			out[list.member] = queryMembers(inner)
		}
	}
	return out
}

// queryMembers reads the fields 1, 2, … in the order of their numbers.
func queryMembers(values url.Values) []any {
	members := queryToJSON(values)
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0
		}
		return n
	}
	keys := slices.SortedFunc(maps.Keys(members), func(a, b string) int { return number(a) - number(b) })
	out := make([]any, 0, len(keys))
	for _, key := range keys {
		out = append(out, members[key])
	}
	return out
}

// xmlNames is what the query protocol calls the members of an answer's lists and maps.
func xmlNames(action string) map[string]string {
	return map[string]string{
		"Attributes": "Attribute", "MessageAttributes": "MessageAttribute", "Messages": "Message", "QueueUrls": "QueueUrl",
		"queueUrls": "QueueUrl", "Successful": action + "ResultEntry", "Failed": "BatchResultErrorEntry",
	}
}

// jsonToQuery writes an answer as XML.
func jsonToQuery(action string, output any) ([]byte, error) {
	doc, err := json.Marshal(output)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return nil, err
	}
	var out answer
	out.queryMembers(members, xmlNames(action))
	return out.Bytes(), nil
}

func (a *answer) queryMembers(members map[string]any, names map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		a.queryValue(name, members[name], names)
	}
}

func (a *answer) queryValue(name string, value any, names map[string]string) {
	switch v := value.(type) {
	case []any:
		for _, member := range v {
			a.queryValue(names[name], member, names)
		}
	case map[string]any:
		if single := names[name]; single != "" {
			for _, key := range slices.Sorted(maps.Keys(v)) {
				a.open(single)
				a.text("Name", key)
				a.queryValue("Value", v[key], names)
				a.end(single)
			}
			return
		}
		a.open(name)
		a.queryMembers(v, names)
		a.end(name)
	case string:
		a.text(name, v)
	case json.Number:
		a.text(name, v.String())
	case bool:
		a.text(name, strconv.FormatBool(v))
	}
}
