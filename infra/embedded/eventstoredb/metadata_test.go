package eventstoredb

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
)

var anyDelete = esdb.DeleteStreamOptions{ExpectedRevision: esdb.Any{}}

func mustDelete(t *testing.T, c *esdb.Client, stream string) {
	t.Helper()
	if _, err := c.DeleteStream(patient(t), stream, anyDelete); err != nil {
		t.Fatalf("delete %s: %v", stream, err)
	}
}

func mustTombstone(t *testing.T, c *esdb.Client, stream string) {
	t.Helper()
	if _, err := c.TombstoneStream(patient(t), stream, esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}}); err != nil {
		t.Fatalf("tombstone %s: %v", stream, err)
	}
}

func TestTruncationByMetadata(t *testing.T) {
	set := func(f func(*esdb.StreamMetadata)) esdb.StreamMetadata {
		var m esdb.StreamMetadata
		f(&m)
		return m
	}
	tests := []struct {
		name string
		meta esdb.StreamMetadata
		want []uint64
	}{
		{"none", esdb.StreamMetadata{}, upTo(0, 9)},
		{"max count", set(func(m *esdb.StreamMetadata) { m.SetMaxCount(3) }), upTo(7, 9)},
		{"max count above what there is", set(func(m *esdb.StreamMetadata) { m.SetMaxCount(30) }), upTo(0, 9)},
		{"truncate before", set(func(m *esdb.StreamMetadata) { m.SetTruncateBefore(4) }), upTo(4, 9)},
		{"truncate all", set(func(m *esdb.StreamMetadata) { m.SetTruncateBefore(10) }), nil},
		{"the stricter of two", set(func(m *esdb.StreamMetadata) { m.SetTruncateBefore(8); m.SetMaxCount(5) }), upTo(8, 9)},
		{"cache control limits nothing", set(func(m *esdb.StreamMetadata) { m.SetCacheControl(time.Second) }), upTo(0, 9)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := connected(t)
			mustAppend(t, c, "s", noStream, numbered(10)...)
			if _, err := c.SetStreamMetadata(patient(t), "s", noStream, test.meta); err != nil {
				t.Fatal(err)
			}
			for name, read := range map[string]esdb.ReadStreamOptions{
				"forwards": {From: esdb.Start{}}, "backwards": {From: esdb.End{}, Direction: esdb.Backwards},
			} {
				events, err := readStream(t, c, "s", read, 100)
				if err != nil {
					t.Fatal(err)
				}
				want := test.want
				if name == "backwards" {
					want = reversed(want)
				}
				if got := revisions(events); !slices.Equal(got, want) {
					t.Errorf("%s: revisions %v, want %v", name, got, want)
				}
			}
			if all := mustReadAll(t, c, esdb.ReadAllOptions{}, 100); len(all) != 11 {
				t.Errorf("$all has %d events, want the 10 and the metadata", len(all))
			}
		})
	}
}

// TestMetadataKeysAreExact: what is written otherwise is the user's own, and limits nothing.
func TestMetadataKeysAreExact(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]streamMeta{
		`{"$maxCount":1,"$maxAge":86400,"$tb":5}`:                 {maxCount: 1, maxAge: day, truncateBefore: 5},
		`{"$MAXCOUNT":1,"$maxage":86400,"$TB":5}`:                 {},
		`{"$maxCount":3,"$MAXCOUNT":1,"$Maxage":1,"$tb":null}`:    {maxCount: 3},
		`{"$maxCount":1.5,"$maxAge":-1,"$tb":7,"mine":{"$tb":9}}`: {truncateBefore: 7},
		`{"$maxCount":[],"$tb":7}`:                                {},
		`[]`:                                                      {},
	} {
		if got := parseMeta([]byte(text)); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

func TestMaxAgeIsJudgedWhenReading(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).UnixNano())
	s := serve(t, Config{Now: func() time.Time { return time.Unix(0, now.Load()) }})
	c := dial(t, s.URL())
	var meta esdb.StreamMetadata
	meta.SetMaxAge(10 * time.Second)
	if _, err := c.SetStreamMetadata(patient(t), "s", noStream, meta); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		mustAppend(t, c, "s", anyRevision, numbered(1)...)
		now.Add(int64(time.Second))
	}
	for _, step := range []struct {
		after time.Duration
		want  []uint64
	}{{0, upTo(0, 9)}, {3 * time.Second, upTo(3, 9)}, {7 * time.Second, nil}} {
		now.Add(int64(step.after))
		if got := revisions(mustRead(t, c, "s")); !slices.Equal(got, step.want) {
			t.Errorf("after %v more: revisions %v, want %v", step.after, got, step.want)
		}
	}
	w := mustAppend(t, c, "s", exactly(9), numbered(1)...)
	if w.NextExpectedVersion != 10 {
		t.Errorf("numbering goes on at %d, want 10", w.NextExpectedVersion)
	}
}

func TestMetadataStreamShowsOnlyTheNewest(t *testing.T) {
	c := connected(t)
	for i := range 3 {
		var meta esdb.StreamMetadata
		meta.SetMaxCount(uint64(i + 1))
		if _, err := c.SetStreamMetadata(patient(t), "s", anyRevision, meta); err != nil {
			t.Fatal(err)
		}
	}
	if got := revisions(mustRead(t, c, "$$s")); !slices.Equal(got, []uint64{2}) {
		t.Errorf("revisions %v, want only the newest", got)
	}
	mustAppend(t, c, "s", streamExists, numbered(1)...) // metadata is existence enough
}

func TestDeletedStreamCanBeRecreated(t *testing.T) {
	for name, expect := range map[string]esdb.AppendToStreamOptions{
		"any": anyRevision, "no stream": noStream, "its revision": exactly(4),
	} {
		t.Run(name, func(t *testing.T) {
			c := connected(t)
			var meta esdb.StreamMetadata
			mustAppend(t, c, "s", noStream, numbered(5)...)
			mustDelete(t, c, "s")
			if _, err := readStream(t, c, "s", esdb.ReadStreamOptions{}, 10); errorCode(err) != esdb.ErrorCodeResourceNotFound {
				t.Fatalf("a deleted stream read as %v", err)
			}
			if _, err := c.AppendToStream(patient(t), "s", streamExists, numbered(1)...); errorCode(err) != esdb.ErrorCodeStreamDeleted {
				t.Errorf("a deleted stream was said to exist: %v", err)
			}
			if w := mustAppend(t, c, "s", expect, numbered(2)...); w.NextExpectedVersion != 6 {
				t.Errorf("revision %d, want the numbering to go on to 6", w.NextExpectedVersion)
			}
			if got := revisions(mustRead(t, c, "s")); !slices.Equal(got, []uint64{5, 6}) {
				t.Errorf("revisions %v, want 5 and 6", got)
			}
			got, err := c.GetStreamMetadata(patient(t), "s", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards})
			if meta.SetTruncateBefore(5); err != nil || got.TruncateBefore() == nil || *got.TruncateBefore() != 5 {
				t.Errorf("metadata %+v, %v; want $tb 5", got, err)
			}
			mustAppend(t, c, "s", exactly(6), numbered(1)...)
		})
	}
}

func TestMetadataRecreatesADeletedStreamWithoutItsEvents(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(3)...)
	mustDelete(t, c, "s")
	var meta esdb.StreamMetadata
	meta.SetMaxCount(100)
	meta.AddCustomProperty("kept", "yes")
	if _, err := c.SetStreamMetadata(patient(t), "s", exactly(0), meta); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, c, "s"); len(got) != 0 {
		t.Errorf("%d events from before the deletion came back", len(got))
	}
	got, err := c.GetStreamMetadata(patient(t), "s", esdb.ReadStreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *got.MaxCount() != 100 || *got.TruncateBefore() != 3 || got.CustomProperty("kept") != "yes" {
		t.Errorf("metadata %+v, want it kept and $tb 3", got)
	}
	if w := mustAppend(t, c, "s", anyRevision, numbered(1)...); w.NextExpectedVersion != 3 {
		t.Errorf("revision %d, want 3", w.NextExpectedVersion)
	}
}

func TestTombstoneIsFinal(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(2)...)
	mustTombstone(t, c, "s")
	mustTombstone(t, c, "never-written")
	mustTombstone(t, c, "of\r\nlines")
	for name, err := range map[string]error{
		"append":             second(c.AppendToStream(patient(t), "s", anyRevision, numbered(1)...)),
		"append exactly":     second(c.AppendToStream(patient(t), "s", exactly(1), numbered(1)...)),
		"metadata":           second(c.SetStreamMetadata(patient(t), "s", anyRevision, esdb.StreamMetadata{})),
		"read":               second(readStream(t, c, "s", esdb.ReadStreamOptions{}, 1)),
		"read back":          second(readStream(t, c, "s", esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)),
		"append to of lines": second(c.AppendToStream(patient(t), "of\r\nlines", anyRevision, numbered(1)...)),
		"read of lines":      second(readStream(t, c, "of\r\nlines", esdb.ReadStreamOptions{}, 1)),
		"delete of lines":    second(c.DeleteStream(patient(t), "of\r\nlines", anyDelete)),
		"read unwritten":     second(readStream(t, c, "never-written", esdb.ReadStreamOptions{}, 1)),
		"tombstone":          second(c.TombstoneStream(patient(t), "s", esdb.TombstoneStreamOptions{ExpectedRevision: esdb.Any{}})),
		"delete":             second(c.DeleteStream(patient(t), "s", anyDelete)),
	} {
		if errorCode(err) != esdb.ErrorCodeStreamDeleted {
			t.Errorf("%s: error %v, want stream deleted", name, err)
		}
	}
	var types []string
	for _, e := range mustReadAll(t, c, esdb.ReadAllOptions{}, 10) {
		types = append(types, e.Event.EventType)
	}
	if want := []string{"counted", "counted", "$streamDeleted", "$streamDeleted", "$streamDeleted"}; !slices.Equal(types, want) {
		t.Errorf("$all has %v, want %v", types, want)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTombstoneEndsSubscriptions(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(1)...)
	sub, err := c.SubscribeToStream(patient(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for sub.Recv().CaughtUp == nil {
	}
	mustTombstone(t, c, "s")
	if e := sub.Recv(); e.SubscriptionDropped == nil || rpcCode(e.SubscriptionDropped.Error) != codes.FailedPrecondition {
		t.Errorf("the subscription went on: %+v", e)
	}
}

func TestDeletionChecksTheRevision(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(3)...)
	wrong := esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(1)}
	for _, stream := range []string{"s", "of\nlines"} {
		if _, err := c.DeleteStream(patient(t), stream, wrong); rpcCode(err) != codes.FailedPrecondition {
			t.Errorf("delete %q at a wrong revision: %v", stream, err)
		}
	}
	hard := esdb.TombstoneStreamOptions{ExpectedRevision: esdb.NoStream{}}
	if _, err := c.TombstoneStream(patient(t), "s", hard); rpcCode(err) != codes.FailedPrecondition {
		t.Errorf("tombstone at a wrong revision: %v", err)
	}
	if _, err := c.DeleteStream(patient(t), "s", esdb.DeleteStreamOptions{ExpectedRevision: esdb.Revision(2)}); err != nil {
		t.Errorf("delete at its revision: %v", err)
	}
	if _, err := c.DeleteStream(patient(t), "$$s", anyDelete); rpcCode(err) != codes.InvalidArgument {
		t.Errorf("delete of a metadata stream: %v", err)
	}
}

func TestSubscriptionGoesOnAfterDeletion(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(3)...)
	sub, err := c.SubscribeToStream(patient(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for sub.Recv().CaughtUp == nil {
	}
	mustDelete(t, c, "s")
	mustAppend(t, c, "s", noStream, numbered(1)...)
	if e := sub.Recv(); e.EventAppeared == nil || e.EventAppeared.Event.EventNumber != 3 {
		t.Errorf("received %+v, want revision 3", e)
	}
}

func TestSubscriptionToADeletedStreamBeginsWithItsReturn(t *testing.T) {
	c := connected(t)
	mustAppend(t, c, "s", noStream, numbered(3)...)
	mustDelete(t, c, "s")
	sub, err := c.SubscribeToStream(patient(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for sub.Recv().CaughtUp == nil {
	}
	mustAppend(t, c, "s", noStream, numbered(1)...)
	if e := sub.Recv(); e.EventAppeared == nil || e.EventAppeared.Event.EventNumber != 3 {
		t.Errorf("received %+v, want revision 3", e)
	}
}

func TestLiveSubscriptionSeesWhatIsTruncatedAtOnce(t *testing.T) {
	c := connected(t)
	var meta esdb.StreamMetadata
	meta.SetMaxCount(1)
	if _, err := c.SetStreamMetadata(patient(t), "s", noStream, meta); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, c, "s", noStream, numbered(3)...)
	sub, err := c.SubscribeToStream(patient(t), "s", esdb.SubscribeToStreamOptions{From: esdb.Start{}})
	var got []uint64
	appended := false
	follow(t, sub, err, func(e *esdb.SubscriptionEvent) bool {
		if e.EventAppeared != nil {
			got = append(got, e.EventAppeared.Event.EventNumber)
		}
		if e.CaughtUp != nil && !appended {
			appended = true
			mustAppend(t, c, "s", exactly(2), numbered(10)...)
		}
		return len(got) > 0 && got[len(got)-1] == 12
	})
	if want := upTo(2, 12); !slices.Equal(got, want) {
		t.Errorf("revisions %v, want %v", got, want)
	}
}
