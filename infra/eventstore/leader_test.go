package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
)

// notLeader answers a call as a node does that is not the leader, and knows it.
func notLeader(call grpc.ServerStream, leader net.Addr) error {
	addr := leader.(*net.TCPAddr)
	call.SetTrailer(metadata.Pairs(
		"exception", "not-leader", "leader-endpoint-host", addr.IP.String(), "leader-endpoint-port", strconv.Itoa(addr.Port),
	))
	return status.Error(codes.NotFound, "Leader info available")
}

// TestNotLeader: the node that a store is connected to is the leader no more, and the one that it names does not answer. The client
// then waits for that one, deaf to everything. The calls must not: they go on where the store connects to next. (The client leaks the
// connection that it attempts in vain, so this test is not leakFree.)
func TestNotLeader(t *testing.T) {
	silent := listen(t)
	const callers = 4
	var came atomic.Int64
	deposed, read := make(chan struct{}), make(chan struct{})
	server := &scripted{
		plainAppend: func(n int64, call streams.Streams_AppendServer) error {
			for {
				if _, err := call.Recv(); err != nil {
					break
				}
			}
			if n <= callers {
				came.Add(1)
				<-deposed
				return notLeader(call, silent.Addr())
			}
			success := &streams.AppendResp_Success{}
			return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: success}})
		},
		plainRead: func(_ asked, call streams.Streams_ReadServer) error {
			close(read)
			<-call.Context().Done()
			return call.Context().Err()
		},
	}
	s := open(t, server.start(t)+"&gossipTimeout=3600", eventstore.Config{Timeout: 10 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	var streaming, appending sync.WaitGroup
	defer streaming.Wait()
	defer cancel()
	streaming.Go(func() {
		for range s.Subscribe(ctx, event.Position{}, nil) {
			continue
		}
	})
	streaming.Go(func() {
		if _, err := s.Last(ctx, "order-1"); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("the read that was under way: %v", err)
		}
	})
	for range callers {
		appending.Go(func() {
			if _, err := s.Append(ctx, "order-1", event.Any, proposed(1)); err != nil {
				t.Errorf("an append: %v", err)
			}
		})
	}
	eventually(t, func() error {
		if n := came.Load(); n < callers {
			return fmt.Errorf("%d appends of %d have come", n, callers)
		}
		return server.subscribed(1)
	})
	<-read
	close(deposed)
	appending.Wait()
	eventually(t, func() error { return server.subscribed(2) })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
