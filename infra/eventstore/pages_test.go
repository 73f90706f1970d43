package eventstore_test

import (
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"

	"jangbu/infra/eventstore"
)

// asked is a read that the server was asked for: so many events from a revision.
type asked struct{ from, count uint64 }

// TestReadInPages: a consumer who stops early has the server send a page at most, and one who reads on asks seldom.
func TestReadInPages(t *testing.T) {
	const length = 3000
	tests := []struct {
		name       string
		from, take int64
		want       []asked
	}{
		{"the first event", 0, 1, []asked{{0, 32}}},
		{"one event late in the stream", 2000, 1, []asked{{2000, 32}}},
		{"a whole page", 0, 32, []asked{{0, 32}}},
		{"one more than a page", 0, 33, []asked{{0, 32}, {32, 256}}},
		{"to the end", 0, 1 << 30, []asked{{0, 32}, {32, 256}, {288, 2048}, {2336, 8192}}},
		{"to the end, from less than a page before it", 2970, 1 << 30, []asked{{2970, 32}}},
		{"to the end, which is that of a page", 2968, 1 << 30, []asked{{2968, 32}, {3000, 256}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leakFree(t)
			var all []asked
			server := &scripted{plainRead: func(read asked, call streams.Streams_ReadServer) error {
				all = append(all, read) // one read ends before the next begins
				return sendEvents(call, read.from, min(read.from+read.count, length))
			}}
			s := open(t, server.start(t), eventstore.Config{})
			n := int64(0)
			for e, err := range s.ReadStream(t.Context(), "order-1", test.from) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Revision != test.from+n {
					t.Fatalf("event %d has revision %d", n, e.Revision)
				}
				if n++; n == test.take {
					break
				}
			}
			if want := min(test.take, length-test.from); n != want || !slices.Equal(all, test.want) {
				t.Errorf("%d events by %v, want %d by %v", n, all, want, test.want)
			}
		})
	}
}

func sendEvents(call streams.Streams_ReadServer, from, to uint64) error {
	for revision := from; revision < to; revision++ {
		recorded := &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               &shared.UUID{Value: &shared.UUID_String_{String_: uuid.NewString()}},
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte("order-1")},
			StreamRevision:   revision,
			Metadata:         map[string]string{"type": "a.b.v1", "content-type": "application/json", "created": "1"},
		}
		answer := &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{Event: recorded}}}
		if err := call.Send(answer); err != nil {
			return err
		}
	}
	return nil
}
