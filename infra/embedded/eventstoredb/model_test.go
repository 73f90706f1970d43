package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

// The model is what EventStoreDB's rules say about a few streams, without a file, cache or protocol.
type model struct {
	streams map[string]*modelStream
	log     []string // "stream@revision", in order
}

type modelStream struct {
	last       int64
	ids        map[int64]uuid.UUID
	from       int64 // $tb
	maxCount   int64
	hasMeta    bool
	lastMeta   int64
	deleted    bool
	tombstoned bool
}

func (m *model) stream(name string) *modelStream {
	if m.streams[name] == nil {
		m.streams[name] = &modelStream{last: -1, lastMeta: -1, ids: map[int64]uuid.UUID{}}
	}
	return m.streams[name]
}

// meta notes that metadata is written.
func (m *model) meta(name string, from, maxCount int64) {
	s := m.stream(name)
	s.hasMeta, s.from, s.maxCount = true, from, maxCount
	s.lastMeta++
	m.log = append(m.log, fmt.Sprintf("$$%s@%d", name, s.lastMeta))
}

// append says what an append of new events answers, and carries it out.
func (m *model) append(name string, e expectation, ids []uuid.UUID) verdict {
	s := m.stream(name)
	switch {
	case s.tombstoned, e.kind == expectExists && s.deleted:
		return deleted
	case e.kind == expectExists && s.last < 0 && !s.hasMeta,
		e.kind == expectRevision && int64(e.revision) != s.last,
		e.kind == expectNoStream && s.last >= 0 && !s.deleted:
		return conflict
	}
	if s.deleted {
		s.deleted = false
		m.meta(name, s.last+1, 0)
	}
	for _, id := range ids {
		s.last++
		s.ids[s.last] = id
		m.log = append(m.log, fmt.Sprintf("%s@%d", name, s.last))
	}
	return accepted
}

// readable are the revisions a read finds; false if it finds no stream.
func (s *modelStream) readable() (revisions []uint64, ok bool) {
	if s.last < 0 || s.deleted {
		return nil, false
	}
	from := s.from
	if s.maxCount > 0 {
		from = max(from, s.last-s.maxCount+1)
	}
	for r := from; r <= s.last; r++ {
		revisions = append(revisions, uint64(r))
	}
	return revisions, true
}

// machine holds a server against the model.
type machine struct {
	model
	t      *testing.T
	path   string
	server *Server
	client streams.StreamsClient
	done   []modelAppend
}

// modelAppend is an append that was accepted at an exact revision.
type modelAppend struct {
	stream string
	expect expectation
	ids    []uuid.UUID
}

func TestServerFollowsTheModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		m := &machine{t: t, path: filepath.Join(dir, "events.db"), model: model{streams: map[string]*modelStream{}}}
		m.start(r)
		defer func() { _ = m.server.Close() }()
		r.Repeat(map[string]func(*rapid.T){
			"append":    m.appendSome,
			"repeat":    m.repeatOne,
			"metadata":  m.setMetadata,
			"delete":    m.delete,
			"tombstone": m.tombstone,
			"restart":   m.restart,
			"":          m.check,
		})
		m.restart(r)
		m.check(r)
		if err := m.server.Close(); err != nil {
			r.Fatal(err)
		}
		if report, err := Verify(m.path); err != nil || len(report.Problems) > 0 || report.Events != uint64(len(m.log)) {
			r.Fatalf("verify: %+v, %v; want %d events", report, err, len(m.log))
		}
	})
}

func (m *machine) start(r *rapid.T) {
	s, err := Start(Config{Path: m.path, NoSync: true})
	if err != nil {
		r.Fatal(err)
	}
	m.server, m.client = s, dialRaw(m.t, s.Addr())
}

func (m *machine) restart(r *rapid.T) {
	if err := m.server.Close(); err != nil {
		r.Fatal(err)
	}
	m.start(r)
}

func (m *machine) name(r *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "stream")
}

func (m *machine) appendSome(r *rapid.T) {
	name := m.name(r)
	last := m.stream(name).last
	e := rapid.SampledFrom([]expectation{
		{kind: expectAny}, {kind: expectNoStream}, {kind: expectExists}, {expectRevision, 1},
		{expectRevision, uint64(max(last, 0))}, {expectRevision, uint64(last + 1)},
	}).Draw(r, "expectation")
	ids := make([]uuid.UUID, rapid.IntRange(1, 3).Draw(r, "events"))
	for i := range ids {
		ids[i] = uuid.New()
	}
	before := m.stream(name).last
	want := m.append(name, e, ids)
	m.send(r, modelAppend{name, e, ids}, want, before+int64(len(ids)))
	if want == accepted && (e.kind == expectRevision || e.kind == expectNoStream && before < 0) {
		m.done = append(m.done, modelAppend{name, e, ids})
	}
}

// repeatOne sends an accepted append again, which must change nothing.
func (m *machine) repeatOne(r *rapid.T) {
	if len(m.done) == 0 {
		r.Skip("nothing to repeat")
	}
	a := rapid.SampledFrom(m.done).Draw(r, "append")
	last := int64(-1)
	if a.expect.kind == expectRevision {
		last = int64(a.expect.revision)
	}
	want := repeated
	if m.stream(a.stream).tombstoned {
		want = deleted
	}
	m.send(r, a, want, last+int64(len(a.ids)))
}

// send appends and checks the answer.
func (m *machine) send(r *rapid.T, a modelAppend, want verdict, last int64) {
	var events []*streams.AppendReq
	for _, id := range a.ids {
		events = append(events, proposalOf(id, "t", `{}`))
	}
	resp, err := m.call(a.stream, a.expect, events...)
	switch want {
	case deleted:
		if status.Code(err) != codes.FailedPrecondition {
			r.Fatalf("append to %s: %v, want it deleted", a.stream, err)
		}
	case conflict:
		if resp.GetWrongExpectedVersion() == nil {
			r.Fatalf("append to %s at %+v: %v, %v, want a conflict", a.stream, a.expect, resp, err)
		}
	default:
		if resp.GetSuccess() == nil || resp.GetSuccess().GetCurrentRevision() != uint64(last) {
			r.Fatalf("append to %s at %+v: %v, %v, want revision %d", a.stream, a.expect, resp, err, last)
		}
	}
}

func (m *machine) setMetadata(r *rapid.T) {
	name := m.name(r)
	s := m.stream(name)
	from, count := rapid.Int64Range(0, 5).Draw(r, "$tb"), rapid.Int64Range(0, 4).Draw(r, "$maxCount")
	_, err := m.call("$$"+name, expectation{kind: expectAny},
		proposalOf(uuid.New(), typeMetadata, fmt.Sprintf(`{"$tb":%d,"$maxCount":%d,"mine":{"x":[1]}}`, from, count)))
	if s.tombstoned {
		if status.Code(err) != codes.FailedPrecondition {
			r.Fatalf("metadata of a tombstoned stream: %v", err)
		}
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	m.meta(name, from, count)
	if s.deleted {
		s.deleted = false
		m.meta(name, s.last+1, count)
	}
}

func (m *machine) delete(r *rapid.T) {
	name := m.name(r)
	s := m.stream(name)
	_, err := m.client.Delete(m.ctx(), &streams.DeleteReq{Options: &streams.DeleteReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(name)},
		ExpectedStreamRevision: &streams.DeleteReq_Options_Any{Any: &shared.Empty{}},
	}})
	if (err != nil) != s.tombstoned {
		r.Fatalf("delete %s: %v", name, err)
	}
	if err == nil {
		s.deleted = true
		m.meta(name, 0, 0)
	}
}

func (m *machine) tombstone(r *rapid.T) {
	if rapid.IntRange(0, 3).Draw(r, "rarely") > 0 {
		r.Skip()
	}
	name := m.name(r)
	s := m.stream(name)
	_, err := m.client.Tombstone(m.ctx(), &streams.TombstoneReq{Options: &streams.TombstoneReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(name)},
		ExpectedStreamRevision: &streams.TombstoneReq_Options_Any{Any: &shared.Empty{}},
	}})
	if (err != nil) != s.tombstoned {
		r.Fatalf("tombstone %s: %v", name, err)
	}
	if err == nil {
		s.tombstoned = true
		m.log = append(m.log, fmt.Sprintf("%s@%d", name, tombstoneRevision))
	}
}

// check reads everything, both ways, and holds it against the model.
func (m *machine) check(r *rapid.T) {
	log, err := m.read("", false)
	if err != nil || !slices.Equal(log, m.log) {
		r.Fatalf("$all is %v, %v\nwant    %v", log, err, m.log)
	}
	back, err := m.read("", true)
	if slices.Reverse(back); err != nil || !slices.Equal(back, m.log) {
		r.Fatalf("$all backwards is %v, %v", back, err)
	}
	for _, name := range slices.Sorted(maps.Keys(m.streams)) {
		s := m.streams[name]
		revisions, found := s.readable()
		var want []string
		for _, revision := range revisions {
			want = append(want, fmt.Sprintf("%s@%d", name, revision))
		}
		for _, backwards := range []bool{false, true} {
			got, err := m.read(name, backwards)
			if backwards {
				slices.Reverse(got)
			}
			switch {
			case s.tombstoned:
				if status.Code(err) != codes.FailedPrecondition {
					r.Fatalf("%s is tombstoned and read as %v, %v", name, got, err)
				}
			case !found:
				if !errors.Is(err, errNotFound) {
					r.Fatalf("%s should not be found and read as %v, %v", name, got, err)
				}
			case err != nil || !slices.Equal(got, want):
				r.Fatalf("%s is %v, %v; want %v", name, got, err, want)
			}
		}
	}
}

var errNotFound = errors.New("stream not found")

func (m *machine) read(stream string, backwards bool) (events []string, err error) {
	o := &streams.ReadReq_Options{CountOption: &streams.ReadReq_Options_Count{Count: 1 << 40}}
	all, one := &streams.ReadReq_Options_AllOptions{}, &streams.ReadReq_Options_StreamOptions{
		StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
	}
	if backwards {
		o.ReadDirection = streams.ReadReq_Options_Backwards
		all.AllOption = &streams.ReadReq_Options_AllOptions_End{End: &shared.Empty{}}
		one.RevisionOption = &streams.ReadReq_Options_StreamOptions_End{End: &shared.Empty{}}
	}
	o.StreamOption = &streams.ReadReq_Options_Stream{Stream: one}
	if stream == "" {
		o.StreamOption = &streams.ReadReq_Options_All{All: all}
	}
	call, err := m.client.Read(m.ctx(), &streams.ReadReq{Options: o})
	if err != nil {
		return nil, err
	}
	for {
		resp, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		if resp.GetStreamNotFound() != nil {
			return nil, errNotFound
		}
		e := resp.GetEvent().GetEvent()
		events = append(events, fmt.Sprintf("%s@%d", e.GetStreamIdentifier().GetStreamName(), e.GetStreamRevision()))
	}
}

func (m *machine) ctx() context.Context { return patient(m.t) }

func (m *machine) call(stream string, e expectation, events ...*streams.AppendReq) (*streams.AppendResp, error) {
	call, err := m.client.Append(m.ctx())
	if err != nil {
		return nil, err
	}
	o := &streams.AppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}}
	switch e.kind {
	case expectAny:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_Any{Any: &shared.Empty{}}
	case expectNoStream:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}
	case expectExists:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_StreamExists{StreamExists: &shared.Empty{}}
	case expectRevision:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_Revision{Revision: e.revision}
	}
	for _, req := range append([]*streams.AppendReq{{Content: &streams.AppendReq_Options_{Options: o}}}, events...) {
		if err := call.Send(req); err != nil {
			break // the reason comes with the answer
		}
	}
	return call.CloseAndRecv()
}

func proposalOf(id uuid.UUID, typ, data string) *streams.AppendReq {
	return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
		Id:       textUUID(id),
		Metadata: map[string]string{"type": typ, "content-type": contentJSON},
		Data:     []byte(data),
	}}}
}
