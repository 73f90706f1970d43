package eventstore_test

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"jangbu/domain/event"
	"jangbu/infra/eventstore"
)

// scripted is a server that answers as it is told, for answers that a sound server gives rarely.
type scripted struct {
	streams.UnimplementedStreamsServer
	refuseReads   error // nil: subscriptions are confirmed, and nothing happens on them
	refuseAppends error
	plainRead     func(asked, streams.Streams_ReadServer) error          // answers reads that are no subscriptions
	hearOut       bool                                                   // refuse an append only when it has been sent
	plainAppend   func(n int64, call streams.Streams_AppendServer) error // answers the nth append
	appends       atomic.Int64
	subscriptions atomic.Int64 // to the log
}

func (s *scripted) Read(req *streams.ReadReq, call streams.Streams_ReadServer) error {
	if s.refuseReads != nil {
		return s.refuseReads
	}
	if count, ok := req.GetOptions().GetCountOption().(*streams.ReadReq_Options_Count); ok && s.plainRead != nil {
		return s.plainRead(asked{req.GetOptions().GetStream().GetRevision(), count.Count}, call)
	}
	if req.GetOptions().GetAll() != nil {
		s.subscriptions.Add(1)
	}
	confirmation := &streams.ReadResp_Confirmation{Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "1"}}
	if err := call.Send(&streams.ReadResp{Content: confirmation}); err != nil {
		return err
	}
	<-call.Context().Done()
	return nil
}

func (s *scripted) Append(call streams.Streams_AppendServer) error {
	n := s.appends.Add(1)
	if s.plainAppend != nil {
		return s.plainAppend(n, call)
	}
	for s.hearOut {
		if _, err := call.Recv(); err != nil {
			break
		}
	}
	return s.refuseAppends
}

// subscribed returns an error until the log has been subscribed to n times.
func (s *scripted) subscribed(n int64) error {
	if got := s.subscriptions.Load(); got < n {
		return fmt.Errorf("subscribed %d times, not %d yet", got, n)
	}
	return nil
}

func (s *scripted) start(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	s.serve(t, listener)
	return "esdb://" + listener.Addr().String() + "?tls=false"
}

// listen accepts connections; until somebody serves them they get no answer.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// serve serves the listener until the end of the test.
func (s *scripted) serve(t *testing.T, listener net.Listener) {
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	streams.RegisterStreamsServer(server, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
}

// A server that refuses a large append may break it off, and the client then hides the reason.
func TestAppendBrokenOff(t *testing.T) {
	leakFree(t)
	server := &scripted{refuseAppends: status.Error(codes.InvalidArgument, "maximum append size exceeded")}
	s := open(t, server.start(t), eventstore.Config{Timeout: time.Minute}) // under the race detector so much takes long
	events := proposed(1)
	events[0].Data = make([]byte, 64<<20)
	eventually(t, func() error { // at first it may not be connected
		if _, err := s.Append(t.Context(), "order-1", event.NoStream, events); !errors.Is(err, event.ErrTooLarge) {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
}

func TestServerRefusals(t *testing.T) {
	tests := []struct {
		name        string
		reads       error
		appends     error
		unavailable bool // for both
	}{
		{"access denied", status.Error(codes.PermissionDenied, "no"), status.Error(codes.PermissionDenied, "no"), false},
		{"not authenticated", status.Error(codes.Unauthenticated, "who?"), status.Error(codes.Unauthenticated, "who?"), false},
		{"not ready", status.Error(codes.Unavailable, "starting"), status.Error(codes.Unavailable, "starting"), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leakFree(t)
			server := &scripted{refuseReads: test.reads, refuseAppends: test.appends, hearOut: true}
			s := open(t, server.start(t), eventstore.Config{})
			for name, err := range calls(t.Context(), s) {
				if err == nil || errors.Is(err, event.ErrUnavailable) != test.unavailable {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if test.unavailable {
				refusedAtOnce(t, s)
			}
			if n := server.appends.Load(); !test.unavailable && n != 1 {
				t.Errorf("a refusal that stands was asked for %d times", n)
			}
		})
	}
}
