package eventstoredb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// bare is the least a server could do: the same calls, into one bucket with group commit, without index, checks or
// anything else that makes an event store. The benchmarks report the real server as a share of it.
type bare struct {
	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
	db       *bbolt.DB
	requests chan bareRequest
}

type bareRequest struct {
	values [][]byte
	done   chan uint64
}

var bareBucket = []byte("events")

func startBare(b *testing.B) (*bare, string) { return startBareWith(b, (*bare).commit) }

// startBareWith is startBare with another way to answer appends.
func startBareWith(b *testing.B, answer func(*bare)) (*bare, string) {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: initialMmap()})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bareBucket); return err }); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &bare{db: db, requests: make(chan bareRequest, maxBatch)}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.WaitForHandlers(true))
	streams.RegisterStreamsServer(g, s)
	serverfeatures.RegisterServerFeaturesServer(g, s)
	var running sync.WaitGroup
	running.Go(func() { answer(s) })
	running.Go(func() { _ = g.Serve(l) })
	b.Cleanup(func() {
		g.Stop()
		close(s.requests)
		running.Wait()
		_ = db.Close()
	})
	return s, "esdb://" + l.Addr().String() + "?tls=false"
}

func (s *bare) commit() {
	for first := range s.requests {
		batch := []bareRequest{first}
	gather:
		for len(batch) < maxBatch {
			select {
			case r := <-s.requests:
				batch = append(batch, r)
			default:
				break gather
			}
		}
		var last uint64
		err := s.db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(bareBucket)
			bucket.FillPercent = 1
			for _, r := range batch {
				for _, v := range r.values {
					last, _ = bucket.NextSequence()
					if err := bucket.Put(positionKey(last), v); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			panic(err)
		}
		for _, r := range batch {
			r.done <- last
		}
	}
}

func (s *bare) Append(call streams.Streams_AppendServer) error {
	r := bareRequest{done: make(chan uint64, 1)}
	var stream *shared.StreamIdentifier
	for {
		m, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if o := m.GetOptions(); o != nil {
			stream = o.StreamIdentifier
			continue
		}
		p := m.GetProposedMessage()
		p.Metadata["created"] = "17637000000000000"
		v, err := proto.Marshal(&streams.ReadResp_ReadEvent_RecordedEvent{
			Id: p.Id, StreamIdentifier: stream, Metadata: p.Metadata, CustomMetadata: p.CustomMetadata, Data: p.Data,
		})
		if err != nil {
			return err
		}
		r.values = append(r.values, v)
	}
	s.requests <- r
	last := <-r.done
	return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: last},
		PositionOption:        &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{CommitPosition: last, PreparePosition: last}},
	}}})
}

// Read unmarshals every event and sends it.
func (s *bare) Read(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bareBucket).ForEach(func(_, v []byte) error {
			e := &streams.ReadResp_ReadEvent_RecordedEvent{}
			if err := proto.Unmarshal(v, e); err != nil {
				return err
			}
			return call.Send(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
				Event: e, Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: e.CommitPosition},
			}}})
		})
	})
}

func (s *bare) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: Version}, nil
}

func event400() esdb.EventData {
	return esdb.EventData{
		EventType: "benchmarked.v1", ContentType: esdb.ContentTypeJson,
		Data:     append(append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 292)...), `"}`...),
		Metadata: append(append([]byte(`{"y":"`), bytes.Repeat([]byte("y"), 92)...), `"}`...),
	}
}

// appendMany appends n events of 400 bytes, each in a call of its own, from so many callers; twenty to a stream.
func appendMany(b *testing.B, c *esdb.Client, callers, n int) time.Duration {
	b.Helper()
	event := event400()
	run := uuid.NewString()
	var next atomic.Int64
	var wg sync.WaitGroup
	begin := time.Now()
	for w := range callers {
		wg.Go(func() {
			for mine := 0; next.Add(1) <= int64(n); mine++ {
				stream := fmt.Sprintf("order-%s-%d-%d", run, w, mine/20)
				if _, err := c.AppendToStream(context.Background(), stream, anyRevision, event); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}

// compare runs the same work on both servers by turns, so that a busy machine slows both alike, and reports how
// fast the real one is as a share of the bare one.
func compare(b *testing.B, rounds, each int, ours, theirs func(n int) time.Duration) {
	ours(each)
	theirs(each)
	var mine, bare time.Duration
	for b.Loop() {
		for range rounds {
			mine += ours(each)
			bare += theirs(each)
		}
	}
	n := float64(b.N * rounds * each)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/mine.Seconds(), "events/s")
	b.ReportMetric(n/bare.Seconds(), "bare-events/s")
	b.ReportMetric(bare.Seconds()/mine.Seconds(), "of-bare")
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{64, 1} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			_, url := startBare(b)
			theirs := dial(b, url)
			ours := connected(b)
			compare(b, 5, 64*callers+1000,
				func(n int) time.Duration { return appendMany(b, ours, callers, n) },
				func(n int) time.Duration { return appendMany(b, theirs, callers, n) })
		})
	}
}

func BenchmarkDrainAll(b *testing.B) {
	const events = 50_000
	s, url := startBare(b)
	theirs := dial(b, url)
	ours := connected(b)
	for i := 0; i < events; i += 500 {
		batch := make([]esdb.EventData, 500)
		for k := range batch {
			batch[k] = event400()
		}
		mustAppend(b, ours, fmt.Sprintf("order-%d", i), anyRevision, batch...)
	}
	fillBare(b, s, ours)
	drain := func(c *esdb.Client) func(int) time.Duration {
		return func(n int) time.Duration {
			begin := time.Now()
			r, err := c.ReadAll(context.Background(), esdb.ReadAllOptions{From: esdb.Start{}}, uint64(n))
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			for range n {
				if _, err := r.Recv(); err != nil {
					b.Fatal(err)
				}
			}
			return time.Since(begin)
		}
	}
	compare(b, 3, events, drain(ours), drain(theirs))
}

// fillBare copies the very events of the real server, so that both send the same bytes.
func fillBare(b *testing.B, s *bare, c *esdb.Client) {
	b.Helper()
	events, err := collect(c.ReadAll(context.Background(), esdb.ReadAllOptions{From: esdb.Start{}}, 1<<40))
	if err != nil {
		b.Fatal(err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bareBucket)
		bucket.FillPercent = 1
		for _, r := range events {
			e := r.Event
			most, least := eventID(e.EventID).halves()
			v, err := proto.Marshal(&streams.ReadResp_ReadEvent_RecordedEvent{
				Id:               &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{MostSignificantBits: most, LeastSignificantBits: least}}},
				StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(e.StreamID)},
				StreamRevision:   e.EventNumber, CommitPosition: e.Position.Commit, PreparePosition: e.Position.Prepare,
				Metadata: e.SystemMetadata, CustomMetadata: e.UserMetadata, Data: e.Data,
			})
			if err != nil {
				return err
			}
			if err := bucket.Put(positionKey(e.Position.Commit), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
