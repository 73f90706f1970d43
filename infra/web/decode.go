package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// Decode reads the request's JSON body into the struct that into points to, strictly. Syntax errors, trailing data,
// an empty body, text that is not UTF-8, unknown or repeated fields, names in another case and values of the wrong type
// are 400 "malformed-body", each field with its pointer; another media type is 415; a body over the limit 413. null
// stands for an absent field where the field is optional (a pointer, or tagged omitempty).
func Decode(c echo.Context, into any) error { return decode(c, into, false) }

// DecodeOptional is Decode, except that an empty body is allowed and leaves into as it is.
func DecodeOptional(c echo.Context, into any) error { return decode(c, into, true) }

func decode(c echo.Context, into any, optional bool) error {
	body, err := readBody(c.Request())
	if err != nil {
		return err
	}
	if len(body) == 0 && optional {
		return nil
	}
	if _, err := checkMediaType(c.Request().Header, mediaTypeJSON); err != nil {
		return err
	}
	if len(body) == 0 {
		return malformedBody("The body is empty; a JSON object is expected.")
	}
	if err := checkJSON(body, "The body"); err != nil {
		return err
	}
	return decodeInto(into, &checker{}, "", body)
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil && !errors.As(err, new(*http.MaxBytesError)) {
		err = malformedBody("The body could not be read to its end.").Because(err)
	}
	return body, err
}

// checkJSON makes sure that a text is one JSON value.
func checkJSON(text []byte, name string) error {
	switch {
	case !utf8.Valid(text):
		return malformedBody(name + " is not UTF-8.")
	case !json.Valid(text):
		return malformedBody(name + " is not one JSON value: " + syntaxError(text) + ".")
	}
	return nil
}

// decodeInto reads a valid JSON text that stands at the pointer of the body.
func decodeInto(into any, check *checker, pointer string, text []byte) error {
	check.dec = json.NewDecoder(bytes.NewReader(text))
	check.dec.UseNumber()
	check.value(reflect.TypeOf(into).Elem(), pointer, false)
	if len(check.fields) > 0 {
		return malformedBody("The body does not have the expected shape.", check.fields...)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return malformedBody("The body does not have the expected shape.").Because(err)
	}
	return nil
}

const (
	mediaTypeJSON = "application/json"

	// MediaTypeLines is the media type of JSON values one a line.
	MediaTypeLines = "application/x-ndjson"
)

// DecodeMany reads a request body of many values as strictly as Decode: a JSON array (application/json), or one value a line
// (application/x-ndjson), which lines then reports; blank lines do not count. Wrong fields have a pointer into the
// array, or into what would be one. It stops after one value more than most, so that who checks for it can say so.
func DecodeMany[T any](c echo.Context, most int) (values []T, lines bool, err error) {
	body, err := readBody(c.Request())
	if err != nil {
		return nil, false, err
	}
	media, err := checkMediaType(c.Request().Header, mediaTypeJSON, MediaTypeLines)
	if err != nil {
		return nil, false, err
	}
	var check checker
	add := func(text []byte) {
		var value T
		if wrong := decodeInto(&value, &check, "/"+strconv.Itoa(len(values)), text); wrong != nil {
			err = wrong
		}
		values = append(values, value)
	}
	if media == mediaTypeJSON {
		if err := checkJSON(body, "The body"); err != nil {
			return nil, false, err
		}
		array := json.NewDecoder(bytes.NewReader(body))
		if first, _ := array.Token(); first != json.Delim('[') {
			return nil, false, decodeInto(&values, &check, "", body) // which says what is wrong
		}
		for array.More() && len(values) <= most {
			var element json.RawMessage
			if err := array.Decode(&element); err != nil { // not of valid JSON
				return nil, false, err
			}
			add(element)
		}
		return values, false, err
	}
	number := 0
	for line := range bytes.Lines(body) {
		if len(values) > most {
			break
		}
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := checkJSON(line, "Line "+strconv.Itoa(number)); err != nil {
			return nil, true, err
		}
		add(line)
	}
	return values, true, err
}

// checkMediaType returns the media type of the body, one of those that are taken.
func checkMediaType(h http.Header, taken ...string) (string, error) {
	refuse := func(detail string) *Problem {
		return NewProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", detail)
	}
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		// RFC 9110 15.5.16: it is the coding that the header must be about.
		return "", refuse("The body must be sent without Content-Encoding.").With("Accept-Encoding", "identity")
	}
	accept := strings.Join(taken, ", ")
	unsupported := func(detail string) (string, error) { return "", refuse(detail).With("Accept", accept) }
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !slices.Contains(taken, media) {
		return unsupported("The body must be " + strings.Join(taken, " or ") + ".")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return unsupported("The body must be UTF-8.")
	}
	return media, nil
}

func syntaxError(body []byte) string {
	var syntax *json.SyntaxError
	err := json.Unmarshal(body, new(any))
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v at byte %d", syntax, syntax.Offset)
	}
	return fmt.Sprint(err)
}

// maxFieldErrors bounds the answer to a body that is wrong a thousand times.
const maxFieldErrors = 20

// checker walks a valid JSON text beside the Go type it is meant for, since encoding/json reports one error at a
// time, without a pointer, and accepts repeated fields and names in another case.
type checker struct {
	dec    *json.Decoder
	fields []FieldError
}

func (c *checker) wrong(pointer, detail string) {
	if len(c.fields) < maxFieldErrors {
		c.fields = append(c.fields, FieldError{Pointer: pointer, Detail: detail})
	}
}

func (c *checker) value(t reflect.Type, pointer string, optional bool) {
	if t.Kind() == reflect.Pointer {
		t, optional = t.Elem(), true
	}
	token, err := c.dec.Token()
	if err != nil {
		c.wrong(pointer, err.Error())
		return
	}
	if t == reflect.TypeFor[json.RawMessage]() { // any value
		c.skip(token)
		return
	}
	if token == nil && optional {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		if token == json.Delim('{') {
			c.object(t, pointer)
			return
		}
	case reflect.Slice:
		if token == json.Delim('[') {
			c.array(t.Elem(), pointer)
			return
		}
	default:
		if fitsScalar(token, t) {
			return
		}
	}
	c.wrong(pointer, "must be "+nameOfKind(t))
	c.skip(token)
}

func (c *checker) object(t reflect.Type, pointer string) {
	known := jsonFields(t)
	seen := map[string]bool{}
	for c.dec.More() {
		token, err := c.dec.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return
		}
		at := pointer + "/" + escapePointer.Replace(name)
		field, ok := known[name]
		switch {
		case !ok:
			c.wrong(at, "is not a known field")
			c.skipValue()
		case seen[name]:
			c.wrong(at, "is given twice")
			c.skipValue()
		default:
			seen[name] = true
			c.value(field.typ, at, field.optional)
		}
	}
	c.end()
}

func (c *checker) array(t reflect.Type, pointer string) {
	for i := 0; c.dec.More(); i++ {
		c.value(t, pointer+"/"+strconv.Itoa(i), false)
	}
	c.end()
}

// skip passes over the rest of a value whose first token has been read, skipValue over a whole value, and end over a
// closing bracket. The text is known to be valid JSON, so none of them can fail.
func (c *checker) skip(first json.Token) {
	depth := 0
	for token := first; ; token, _ = c.dec.Token() {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 {
			return
		}
	}
}

func (c *checker) skipValue() {
	first, _ := c.dec.Token()
	c.skip(first)
}

func (c *checker) end() { c.skipValue() }

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

type jsonField struct {
	typ      reflect.Type
	optional bool
}

// knownFields remembers jsonFields by type.
var knownFields sync.Map

func jsonFields(t reflect.Type) map[string]jsonField {
	if known, ok := knownFields.Load(t); ok {
		return known.(map[string]jsonField)
	}
	fields := make(map[string]jsonField, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields[name] = jsonField{f.Type, strings.Contains(options, "omitempty")}
	}
	knownFields.Store(t, fields)
	return fields
}

func fitsScalar(token json.Token, t reflect.Type) bool {
	switch token := token.(type) {
	case string:
		return t.Kind() == reflect.String
	case bool:
		return t.Kind() == reflect.Bool
	case json.Number:
		switch t.Kind() {
		case reflect.Int64, reflect.Int:
			_, err := strconv.ParseInt(token.String(), 10, 64)
			return err == nil
		case reflect.Float64:
			_, err := strconv.ParseFloat(token.String(), 64)
			return err == nil
		}
	}
	return false
}

func nameOfKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "an array"
	case reflect.Int64, reflect.Int:
		return "a 64-bit integer"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	}
	return "a string"
}
