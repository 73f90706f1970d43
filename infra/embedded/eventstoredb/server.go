package eventstoredb

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Version is the version of EventStoreDB whose behaviour the server follows, and the one it gives to clients.
const Version = "24.10.0"

const (
	// maxAppend is EventStoreDB's own limit up to 24.10 of one append in bytes: data, metadata and types together.
	maxAppend = 1 << 20

	// Messages above the append limit must come in for the refusal to be a proper one.
	maxMessage    = 32 << 20
	window        = 1 << 20
	bufferSize    = 64 << 10
	keepaliveMin  = time.Second
	keepaliveIdle = 2 * time.Minute
)

// Config says what to serve. The zero Config is a store in memory on a free port of the loopback interface.
type Config struct {
	// Path of the store's file, created with its folder if it does not exist. Empty: the events end with the Server.
	Path string
	// Addr is the listen address, default "127.0.0.1:0".
	Addr string
	// Now is the clock that dates events and judges $maxAge, default time.Now. It is called concurrently.
	Now func() time.Time
	// Logger hears what no caller is told, such as a disk that refuses writes. Default: silence.
	Logger *slog.Logger
	// NoSync acknowledges appends before they are on disk: faster, and a power cut may lose or damage the file.
	NoSync bool
}

// Server is a running event store. Its methods may be called concurrently.
type Server struct {
	store    *store
	writer   *writer
	listener net.Listener
	grpc     *grpc.Server
	http     *http.Server
	mux      *mux
	serving  sync.WaitGroup
	close    func() error
}

// service implements the protocol.
type service struct {
	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer

	store  *store
	writer *writer
	hub    *hub
	now    func() time.Time
}

// Start opens the store and serves it; when it returns, clients can connect. Errors are ErrLocked, ErrDamaged or the
// operating system's (syscall.EADDRINUSE for a taken port), wrapped with the file or address they are about. None of them has changed
// the file.
func Start(cfg Config) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Addr, err)
	}
	s, err := start(cfg, listener)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

func start(cfg Config, listener net.Listener) (*Server, error) {
	store, err := openStore(cfg.Path, cfg.NoSync)
	if err != nil {
		return nil, err
	}
	hub := newHub()
	writer, err := newWriter(store, hub, cfg.Now, cfg.Logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open event store %s: %w", store.path, err), store.close())
	}
	s := &Server{store: store, writer: writer, listener: listener}
	svc := &service{store: store, writer: writer, hub: hub, now: cfg.Now}
	node := &node{instance: eventID(uuid.New()), now: cfg.Now, listen: listener.Addr()}
	s.grpc = newGRPC()
	streams.RegisterStreamsServer(s.grpc, svc)
	serverfeatures.RegisterServerFeaturesServer(s.grpc, svc)
	gossip.RegisterGossipServer(s.grpc, node)
	s.http = newHTTP(store, node)
	s.mux = newMux(listener)
	s.close = sync.OnceValue(s.shutdown)

	s.serving.Go(writer.run)
	s.serving.Go(s.mux.run)
	// Both end without a reason worth telling once the mux closes their listeners.
	s.serving.Go(func() { _ = s.grpc.Serve(s.mux.grpc) })
	s.serving.Go(func() { _ = s.http.Serve(s.mux.http) })
	return s, nil
}

func newGRPC() *grpc.Server {
	return grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.InitialWindowSize(window),
		grpc.InitialConnWindowSize(window),
		grpc.ReadBufferSize(bufferSize),
		grpc.WriteBufferSize(bufferSize),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             keepaliveMin,
			PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveIdle}),
	)
}

// Addr is the address the server listens on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the connection string for clients on this machine.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.Addr())
	if err != nil { // not for a TCP address
		return "esdb://" + s.Addr() + "?tls=false"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "esdb://" + net.JoinHostPort(host, port) + "?tls=false"
}

// Close stops at once: connections are cut, subscriptions end, appends in progress are either on disk or not, and
// the file is closed. Closing again does nothing.
func (s *Server) Close() error { return s.close() }

func (s *Server) shutdown() error {
	s.mux.close()
	s.grpc.Stop()
	err := s.http.Close()
	s.writer.close()
	s.serving.Wait()
	if err := errors.Join(err, s.store.close()); err != nil {
		return fmt.Errorf("close event store: %w", err)
	}
	return nil
}
