package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// serve starts a server that ends with the test.
func serve(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// dial connects EventStoreDB's own client.
func dial(t testing.TB, url string) *esdb.Client {
	t.Helper()
	cfg, err := esdb.ParseConnectionString(url)
	if err != nil {
		t.Fatalf("parse %s: %v", url, err)
	}
	cfg.Logger = func(esdb.LogLevel, string, ...interface{}) {}
	c, err := esdb.NewClient(cfg)
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// dialRaw connects the generated stubs.
func dialRaw(t testing.TB, addr string) streams.StreamsClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return streams.NewStreamsClient(conn)
}

// connected is a fresh store on disk and a client of it.
func connected(t testing.TB) *esdb.Client {
	t.Helper()
	return dial(t, serve(t, Config{Path: filepath.Join(t.TempDir(), "events.db")}).URL())
}

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newEvent(typ, data string) esdb.EventData {
	return esdb.EventData{
		EventID: uuid.New(), EventType: typ, ContentType: esdb.ContentTypeJson,
		Data: []byte(data), Metadata: []byte(`{"by":"test"}`),
	}
}

func numbered(n int) []esdb.EventData {
	events := make([]esdb.EventData, n)
	for i := range events {
		events[i] = newEvent("counted", fmt.Sprintf(`{"n":%d}`, i))
	}
	return events
}

var (
	anyRevision  = esdb.AppendToStreamOptions{ExpectedRevision: esdb.Any{}}
	noStream     = esdb.AppendToStreamOptions{ExpectedRevision: esdb.NoStream{}}
	streamExists = esdb.AppendToStreamOptions{ExpectedRevision: esdb.StreamExists{}}
)

func exactly(revision uint64) esdb.AppendToStreamOptions {
	return esdb.AppendToStreamOptions{ExpectedRevision: esdb.Revision(revision)}
}

func mustAppend(t testing.TB, c *esdb.Client, stream string, opts esdb.AppendToStreamOptions, events ...esdb.EventData) *esdb.WriteResult {
	t.Helper()
	r, err := c.AppendToStream(patient(t), stream, opts, events...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	return r
}

// collect reads a read to its end.
func collect(s *esdb.ReadStream, err error) ([]*esdb.ResolvedEvent, error) {
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var events []*esdb.ResolvedEvent
	for {
		e, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}

func readStream(t testing.TB, c *esdb.Client, stream string, opts esdb.ReadStreamOptions, count uint64) ([]*esdb.ResolvedEvent, error) {
	t.Helper()
	return collect(c.ReadStream(patient(t), stream, opts, count))
}

func mustRead(t testing.TB, c *esdb.Client, stream string) []*esdb.ResolvedEvent {
	t.Helper()
	events, err := readStream(t, c, stream, esdb.ReadStreamOptions{}, 1<<40)
	if err != nil {
		t.Fatalf("read %s: %v", stream, err)
	}
	return events
}

func mustReadAll(t testing.TB, c *esdb.Client, opts esdb.ReadAllOptions, count uint64) []*esdb.ResolvedEvent {
	t.Helper()
	events, err := collect(c.ReadAll(patient(t), opts, count))
	if err != nil {
		t.Fatalf("read $all: %v", err)
	}
	return events
}

// errorCode is the client's word for an error.
func errorCode(err error) esdb.ErrorCode {
	var e *esdb.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return esdb.ErrorCodeUnknown
}

// rpcCode is the gRPC code beneath the client's word for it, which knows few of them.
func rpcCode(err error) codes.Code {
	var e *esdb.Error
	if errors.As(err, &e) {
		return status.Code(e.Err())
	}
	return status.Code(err)
}

func revisions(events []*esdb.ResolvedEvent) []uint64 {
	out := make([]uint64, len(events))
	for i, e := range events {
		out[i] = e.OriginalEvent().EventNumber
	}
	return out
}

// ids are the ids of events, to compare what was read with what was appended.
func ids(events []*esdb.ResolvedEvent) []uuid.UUID {
	out := make([]uuid.UUID, len(events))
	for i, e := range events {
		out[i] = e.OriginalEvent().EventID
	}
	return out
}

func idsOf(events []esdb.EventData) []uuid.UUID {
	out := make([]uuid.UUID, len(events))
	for i, e := range events {
		out[i] = e.EventID
	}
	return out
}
