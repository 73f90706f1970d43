//go:build unix

package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
)

// killsVar raises the number of kills for a longer run.
const killsVar = "EVENTSTOREDB_TEST_KILLS"

// acked is an append that was acknowledged.
type acked struct {
	stream   string
	last     uint64
	position uint64
	ids      []eventID
}

// TestKilledServerLosesNothing kills the server under load, again and again. After each kill every append that was
// ever acknowledged must be there, at its revisions and position, and every append whole or not at all.
func TestKilledServerLosesNothing(t *testing.T) {
	kills := 30
	if testing.Short() {
		kills = 5
	}
	if n, err := strconv.Atoi(os.Getenv(killsVar)); err == nil {
		kills = n
	}
	path := filepath.Join(t.TempDir(), "events.db")
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	var known []acked
	for kill := range kills {
		c := startChild(t, path)
		if kill == 0 {
			if _, err := Start(Config{Path: path}); !errors.Is(err, ErrLocked) {
				t.Fatalf("the file of another process was opened: %v", err)
			}
		}
		client := dialRaw(t, c.addr)
		checkLog(t, client, known)
		known = append(known, load(t, client, c.kill, time.Duration(random.IntN(60)+1)*time.Millisecond)...)
	}
	report, err := Verify(path)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("verify: %+v, %v", report, err)
	}
	c := startChild(t, path)
	checkLog(t, dialRaw(t, c.addr), known)
	t.Logf("%d kills, %d appends acknowledged, %d events", kills, len(known), report.Events)
	if len(known) < kills {
		t.Errorf("only %d appends in %d runs: the test has not tested much", len(known), kills)
	}
}

// TestServerClosedUnderLoadLosesNothing closes the server in the middle of everything instead of killing it.
func TestServerClosedUnderLoadLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	var known []acked
	for range 10 {
		s, err := Start(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		client := dialRaw(t, s.Addr())
		checkLog(t, client, known)
		known = append(known, load(t, client, func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}, 20*time.Millisecond)...)
	}
	if report, err := Verify(path); err != nil || len(report.Problems) > 0 {
		t.Fatalf("verify: %+v, %v", report, err)
	}
}

// load appends from many callers until it ends the server after the given time.
func load(t *testing.T, client streams.StreamsClient, end func(), lifetime time.Duration) []acked {
	t.Helper()
	var mu sync.Mutex
	var known []acked
	var failed error // why one of the callers ended
	var wg sync.WaitGroup
	first, all := make(chan struct{}), make(chan struct{})
	var once sync.Once
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				a, err := appendRaw(patient(t), client, fmt.Sprintf("s-%d", (w+i)%5), 1+(w+i)%4)
				mu.Lock()
				if err != nil {
					failed = err
					mu.Unlock()
					return
				}
				known = append(known, a)
				mu.Unlock()
				once.Do(func() { close(first) })
			}
		})
	}
	go func() {
		wg.Wait()
		close(all)
	}()
	select {
	case <-first:
	case <-all:
		if len(known) == 0 {
			t.Fatalf("no append was acknowledged: %v", failed)
		}
	}
	timer := time.NewTimer(lifetime)
	defer timer.Stop()
	<-timer.C
	end()
	<-all
	return known
}

// appendRaw appends n events that carry how many they are, to be found whole.
func appendRaw(ctx context.Context, client streams.StreamsClient, stream string, n int) (acked, error) {
	a := acked{stream: stream}
	call, err := client.Append(ctx)
	if err != nil {
		return a, err
	}
	err = call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte(stream)},
		ExpectedStreamRevision: &streams.AppendReq_Options_Any{Any: &shared.Empty{}},
	}}})
	for i := 0; i < n && err == nil; i++ {
		id := eventID(uuid.New())
		a.ids = append(a.ids, id)
		err = call.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id:       &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}},
			Metadata: map[string]string{"type": "t", "content-type": contentJSON},
			Data:     fmt.Appendf(nil, `{"append":"%s","i":%d,"of":%d}`, a.ids[0], i, n),
		}}})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return a, err
	}
	resp, err := call.CloseAndRecv()
	if err != nil {
		return a, err
	}
	a.last = resp.GetSuccess().GetCurrentRevision()
	a.position = resp.GetSuccess().GetPosition().GetCommitPosition()
	return a, nil
}

// checkLog reads the whole log and holds it against what was acknowledged.
func checkLog(t *testing.T, client streams.StreamsClient, known []acked) {
	t.Helper()
	call, err := client.Read(patient(t), &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{}},
		CountOption:  &streams.ReadReq_Options_Count{Count: 1 << 40},
	}})
	if err != nil {
		t.Fatal(err)
	}
	type found struct {
		stream             string
		revision, position uint64
	}
	events := map[eventID]found{}
	next := map[string]uint64{}
	var position uint64
	open := 0 // events still due of the append being read
	for {
		m, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		e := m.GetEvent().GetEvent()
		id, _ := uuidOf(e.GetId())
		f := found{string(e.GetStreamIdentifier().GetStreamName()), e.GetStreamRevision(), e.GetCommitPosition()}
		if f.position <= position || f.revision != next[f.stream] {
			t.Fatalf("%+v stands after position %d where revision %d is due", f, position, next[f.stream])
		}
		position, next[f.stream], events[id] = f.position, f.revision+1, f
		var first string
		var i, of int
		if _, err := fmt.Sscanf(string(e.GetData()), `{"append":"%36s","i":%d,"of":%d}`, &first, &i, &of); err != nil {
			t.Fatalf("event data %q: %v", e.GetData(), err)
		}
		if i == 0 && open > 0 || i > 0 && open == 0 {
			t.Fatalf("append %s is not whole", first)
		}
		open = of - i - 1
	}
	if open > 0 {
		t.Fatal("the last append is not whole")
	}
	for _, a := range known {
		for i, id := range a.ids {
			f, ok := events[id]
			if want := a.last - uint64(len(a.ids)-1-i); !ok || f.stream != a.stream || f.revision != want {
				t.Fatalf("acknowledged event %s of %s at %d was found as %+v", id, a.stream, want, f)
			}
		}
		if f := events[a.ids[len(a.ids)-1]]; f.position != a.position {
			t.Fatalf("event acknowledged at position %d is at %d", a.position, f.position)
		}
	}
}
