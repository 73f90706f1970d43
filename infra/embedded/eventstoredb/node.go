package eventstoredb

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/peer"
)

// GetSupportedMethods tells clients what they may call. Names are lower case, as EventStoreDB's are.
func (s *service) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	const (
		streams  = "event_store.client.streams.streams"
		gossip   = "event_store.client.gossip.gossip"
		features = "event_store.client.server_features.serverfeatures"
	)
	method := func(service, name string, features ...string) *serverfeatures.SupportedMethod {
		return &serverfeatures.SupportedMethod{ServiceName: service, MethodName: name, Features: features}
	}
	return &serverfeatures.SupportedMethods{
		EventStoreServerVersion: Version,
		Methods: []*serverfeatures.SupportedMethod{
			method(streams, "append"),
			method(streams, "batchappend", "deadline_duration"),
			method(streams, "delete"),
			method(streams, "read", "position", "events"),
			method(streams, "tombstone"),
			method(gossip, "read"),
			method(features, "getsupportedmethods"),
		},
	}, nil
}

// node is the one member of the cluster.
type node struct {
	gossip.UnimplementedGossipServer
	instance eventID
	now      func() time.Time
	listen   net.Addr
}

// Read tells clients that discover the cluster to stay here: the address given is the one they have reached.
func (n *node) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	addr := n.listen
	if p, ok := peer.FromContext(ctx); ok && p.LocalAddr != nil {
		addr = p.LocalAddr
	}
	most, least := n.instance.halves()
	info := &gossip.MemberInfo{
		InstanceId: &shared.UUID{Value: &shared.UUID_Structured_{
			Structured: &shared.UUID_Structured{MostSignificantBits: most, LeastSignificantBits: least},
		}},
		TimeStamp:    n.now().UnixNano() / int64(ticks),
		State:        gossip.MemberInfo_Leader,
		IsAlive:      true,
		HttpEndPoint: &gossip.EndPoint{},
	}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		info.HttpEndPoint.Address, info.HttpEndPoint.Port = tcp.IP.String(), uint32(tcp.Port)
	}
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{info}}, nil
}

const httpTimeout = 10 * time.Second

// newHTTP serves what monitoring looks at, to HTTP/1.1 clients on the same port.
func newHTTP(s *store, n *node) *http.Server {
	mux := http.NewServeMux()
	alive := func(w http.ResponseWriter, _ *http.Request) {
		if err := s.view(func(*snapshot) error { return nil }); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("GET /health/live", alive)
	mux.HandleFunc("GET /health/ready", alive)
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"esVersion": Version, "dbVersion": Version, "state": "leader",
			"features":       map[string]bool{"projections": false, "userManagement": false, "atomPub": false},
			"authentication": map[string]string{"type": "insecure"},
		})
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		stats, err := s.stats()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		writeJSON(w, stats)
	})
	mux.HandleFunc("GET /backup", s.serveBackup)
	mux.HandleFunc("GET /gossip", func(w http.ResponseWriter, r *http.Request) {
		addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		tcp, _ := addr.(*net.TCPAddr)
		if tcp == nil {
			tcp = &net.TCPAddr{}
		}
		writeJSON(w, map[string]any{"members": []any{map[string]any{
			"instanceId": n.instance.String(), "timeStamp": n.now().UTC(), "state": "Leader", "isAlive": true,
			"httpEndPointIp": tcp.IP.String(), "httpEndPointPort": tcp.Port,
		}}})
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: httpTimeout, WriteTimeout: httpTimeout}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// An error here is the client's having gone.
	_ = json.NewEncoder(w).Encode(v)
}

// stats is what /stats reports.
type stats struct {
	LastPosition uint64 `json:"lastPosition"`
	Streams      uint64 `json:"streams"` // ever written to, their metadata's included
	FileBytes    int64  `json:"fileBytes"`
}

func (s *store) stats() (st stats, err error) {
	err = s.view(func(sn *snapshot) error {
		st.LastPosition = sn.end()
		st.Streams = sn.streams.Sequence()
		st.FileBytes = sn.tx.Size()
		return nil
	})
	return st, err
}
