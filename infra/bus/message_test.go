package bus

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"jangbu/domain/event"
)

func sample() event.Recorded {
	return event.Recorded{
		ID:       uuid.MustParse("6ba7b810-9dad-51d1-80b4-00c04fd430c8"),
		Stream:   "order-10248",
		Revision: 3,
		Position: event.Position{Commit: 12, Prepare: 11},
		Type:     "order.placed.v1",
		Time:     time.Date(1996, 7, 4, 1, 2, 3, 456789100, time.UTC),
		Data:     []byte(`{"a": 1.50}`),
		Metadata: []byte(`{"command_id":"c","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`),
	}
}

// The form of the message is a contract with queues that hold old ones, and with other readers of the topic.
func TestMessageForm(t *testing.T) {
	bare := sample()
	bare.Data, bare.Metadata = nil, nil
	binary := sample()
	binary.Data, binary.Metadata = []byte{0xff}, nil
	const head = `{"specversion":"1.0","source":"/jangbu","id":"6ba7b810-9dad-51d1-80b4-00c04fd430c8","type":"order.placed.v1",` +
		`"subject":"order-10248","time":"1996-07-04T01:02:03.4567891Z","revision":"3","position":"12/11"`
	const trace = `,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`
	cases := []struct {
		name   string
		event  event.Recorded
		hollow bool
		want   string
	}{
		{"whole", sample(), false, head + trace + `,"jangbumeta":"{\"command_id\":\"c\",\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}"` +
			`,"datacontenttype":"application/json","data":{"a": 1.50}}`},
		{"hollow", sample(), true, head + trace + `,"hollow":true}`},
		{"bare", bare, false, head + `}`},
		{"binary data", binary, false, head + `,"data_base64":"/w=="}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if have := string(encode(nil, c.event, c.hollow)); have != c.want {
				t.Errorf("message\n%s\nwant\n%s", have, c.want)
			}
		})
	}
}

// Whatever an event holds, its message is JSON that SQS takes, and says the same event.
func TestMessageRoundTrip(t *testing.T) {
	raw := rapid.SliceOfN(rapid.Byte(), 0, 40)
	jsonBytes := rapid.Custom(func(t *rapid.T) []byte {
		b, err := json.Marshal(map[string]any{rapid.String().Draw(t, "key"): rapid.String().Draw(t, "value")})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
	odd := rapid.SampledFrom([][]byte{nil, {}, []byte("null"), []byte(" 1"), []byte("{}\n"), []byte("\"\xff\""), []byte("\"\uffff\""), []byte("\"\u2028\ufffd\"")})
	payload := rapid.OneOf(raw, jsonBytes, odd)
	rapid.Check(t, func(t *rapid.T) {
		want := event.Recorded{
			ID:       uuid.NewSHA1(uuid.Nil, raw.Draw(t, "id")),
			Stream:   "order-" + rapid.String().Draw(t, "stream"),
			Revision: rapid.Int64Min(0).Draw(t, "revision"),
			Position: event.Position{Commit: rapid.Uint64().Draw(t, "commit"), Prepare: rapid.Uint64().Draw(t, "prepare")},
			Type:     "t" + rapid.String().Draw(t, "type"),
			Time:     time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "second"), rapid.Int64Range(0, 999999999).Draw(t, "nano")).UTC(),
			Data:     payload.Draw(t, "data"),
			Metadata: payload.Draw(t, "metadata"),
		}
		body := encode(nil, want, false)
		if !json.Valid(body) || !utf8.Valid(body) || bytes.ContainsAny(body, "\ufffe\uffff") {
			t.Fatalf("not a message: %q", body)
		}
		have, hollow, err := decode(string(body))
		if err != nil || hollow {
			t.Fatalf("%q: hollow %v, %v", body, hollow, err)
		}
		if !bytes.Equal(have.Data, want.Data) || !bytes.Equal(have.Metadata, want.Metadata) {
			t.Fatalf("data %q metadata %q, want %q and %q", have.Data, have.Metadata, want.Data, want.Metadata)
		}
		have.Data, have.Metadata, want.Data, want.Metadata = nil, nil, nil, nil
		if have.ID != want.ID || have.Stream != want.Stream || have.Revision != want.Revision || have.Position != want.Position ||
			have.Type != want.Type || !have.Time.Equal(want.Time) {
			t.Fatalf("event %+v, want %+v", have, want)
		}
	})
}

// FuzzDecodeOwn: the short way of reading a message agrees with the long way wherever it takes one at all.
func FuzzDecodeOwn(f *testing.F) {
	bare, odd := sample(), sample()
	bare.Data, bare.Metadata = nil, nil
	odd.Stream, odd.Data = "order-\u2028 \"", []byte("[1,{}]")
	for _, e := range []event.Recorded{sample(), bare, odd} {
		for _, hollow := range []bool{false, true} {
			f.Add(string(encode(nil, e, hollow)))
		}
	}
	f.Add(strings.Replace(string(encode(nil, sample(), false)), "{\"a\": 1.50}", "{}}{", 1))
	f.Fuzz(func(t *testing.T, body string) {
		short, hollow, ok := decodeOwn(body)
		if !ok || !utf8.ValidString(body) { // SQS delivers nothing else
			return
		}
		long, longHollow, err := decodeAny(body)
		if err != nil || hollow != longHollow || !reflect.DeepEqual(short, long) {
			t.Errorf("%q read as\n%+v\nand as\n%+v, %v", body, short, long, err)
		}
	})
}

// An ordinary event must not miss the short way.
func TestDecodeOwnTakesOrdinaryEvents(t *testing.T) {
	for _, hollow := range []bool{false, true} {
		if _, _, ok := decodeOwn(string(encode(nil, sample(), hollow))); !ok {
			t.Errorf("a message of ours, hollow %v, is read the long way", hollow)
		}
	}
}

func TestDecodeRefusals(t *testing.T) {
	good := string(encode(nil, sample(), false))
	for name, body := range map[string]string{
		"empty":             "",
		"no JSON":           "hello",
		"cut off":           good[:len(good)-1],
		"other version":     strings.Replace(good, `"1.0"`, `"0.3"`, 1),
		"no id":             strings.Replace(good, `"id"`, `"identity"`, 1),
		"bad id":            strings.Replace(good, "6ba7b810", "what", 1),
		"no type":           strings.Replace(good, `"type"`, `"kind"`, 1),
		"no subject":        strings.Replace(good, `"subject"`, `"about"`, 1),
		"no revision":       strings.Replace(good, `"revision"`, `"version"`, 1),
		"negative revision": strings.Replace(good, `"revision":"3"`, `"revision":"-1"`, 1),
		"bad position":      strings.Replace(good, "12/11", "twelve", 1),
		"bad time":          strings.Replace(good, "1996-", "96-", 1),
	} {
		if e, _, err := decode(body); err == nil || e.Stream != "" {
			t.Errorf("%s: decoded as %+v, %v", name, e, err)
		}
	}
	foreign := strings.Replace(good, "{", `{ "unknown" : [1,2], `, 1)
	if e, _, err := decode(foreign); err != nil || e.Stream != "order-10248" {
		t.Errorf("a message with spaces and an unknown extension: %+v, %v", e, err)
	}
}

func TestBatchesKeepLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 300<<10), 1, 30).Draw(t, "sizes")
		var events []event.Recorded
		for _, n := range sizes {
			e := sample()
			e.Data = []byte(`"` + strings.Repeat("x", n) + `"`)
			events = append(events, e)
		}
		next := 0
		for _, batch := range batchesOf(events) {
			total := 0
			for _, o := range batch {
				if o.index != next {
					t.Fatalf("event %d stands where %d belongs", o.index, next)
				}
				next++
				total += o.size()
				_, hollow, err := decode(o.body)
				if fits := sizes[o.index] < maxBytes-1<<10; err != nil || fits && hollow {
					t.Fatalf("an event of %d bytes: hollow %v, %v", sizes[o.index], hollow, err)
				}
			}
			if len(batch) == 0 || len(batch) > maxBatch || total > 256<<10 {
				t.Fatalf("a batch of %d entries and %d bytes", len(batch), total)
			}
		}
		if next != len(events) {
			t.Fatalf("%d of %d events are in batches", next, len(events))
		}
	})
}
