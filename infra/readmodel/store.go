// Package readmodel keeps views in Redis: the rows of every document, the composed documents that queries read, the
// state records of the streams, and the registry of generations.
//
// A call walks so: the projector loads the States of some streams, folds, and Lands rows; each landing is a
// compare-and-set by revision in a Lua script, which answers with the documents that must be composed anew; Compose
// stores a composition only over the version it was made of; SaveStates comes last and so means that everything up to
// the saved revision has landed. Each step may be repeated, reordered against itself, or left out by a crash.
//
// Keys are <namespace>:{<view>.<generation>.<bucket>}:<kind>:<document>. The bucket, one of 32 by a hash of the
// document's name, is the hash tag: the keys of one document share a slot of a Redis Cluster, and documents that share a
// bucket can be landed in one script call. Nothing here needs two slots at once.
//
// A Store is safe for concurrent use. Errors that a retry may cure wrap event.ErrUnavailable.
package readmodel

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

const buckets = 32

// Config says how to use a Redis. The zero value is good.
type Config struct {
	Namespace string           // prefix of every key; default "jangbu"
	Now       func() time.Time // default time.Now; ages the cached pointer to the live generation
	Lease     time.Duration    // how long a build belongs to a builder that says nothing, the same for all builders; default 15 s
	Remember  int              // how many documents a Builder remembers; default 5,000
	Dial      redisdb.Dial     // how to connect; default: by TCP, or TLS where the URL says so
}

// Store is one Redis, or one Redis Cluster, holding views.
type Store struct {
	client    redis.UniversalClient
	once      redis.UniversalClient // for Builders
	namespace string
	now       func() time.Time
	lease     time.Duration
	remember  int

	mu   sync.Mutex
	live map[string]livePointer // by view

	fences *redisdb.Fences
}

// Open parses rawURL and returns a Store; it makes no connection yet. redis:// and rediss:// name a single server,
// redis+cluster:// and rediss+cluster:// a node of a cluster (more nodes as ?addr=host:port).
func Open(rawURL string, cfg Config) (*Store, error) {
	client, err := redisdb.Open(rawURL, cfg.Dial)
	if err != nil {
		return nil, err
	}
	once, err := redisdb.OpenOnce(rawURL, cfg.Dial)
	if err != nil {
		return nil, err
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "jangbu"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	if cfg.Remember == 0 {
		cfg.Remember = 5000
	}
	return &Store{client: client, once: once, namespace: cfg.Namespace, now: cfg.Now, lease: cfg.Lease, remember: cfg.Remember,
		live: map[string]livePointer{}, fences: redisdb.NewFences(client, fenced...)}, nil
}

// Close ends all connections.
func (s *Store) Close() error { return errors.Join(s.client.Close(), s.once.Close()) }

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error { return redisdb.Classify(s.client.Ping(ctx).Err()) }

func bucket(name string) string { return bucketName(bucketOf(name)) }

func bucketOf(name string) int { return int(xxhash.Sum64String(name) % buckets) }

func bucketName(b int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

func (s *Store) tag(g row.Generation, bucket string) string {
	return s.namespace + ":{" + g.View + "." + name(g) + "." + bucket + "}:"
}

// key names one of the keys of a document; see document.lua for the kinds. Kind b holds the documents that refer to a
// shared part.
func (s *Store) key(g row.Generation, kind byte, doc string) string {
	return s.tag(g, bucket(doc)) + string(kind) + ":" + doc
}

func (s *Store) registryKey(view string) string { return s.namespace + ":{" + view + "}:registry" }

// pipeline runs build's commands in one round trip a node. Where scripts are missing (a new or restarted Redis), it
// loads them and runs all commands again, which is harmless by the rule of the read side.
func (s *Store) pipeline(ctx context.Context, build func(redis.Pipeliner)) ([]redis.Cmder, error) {
	for attempt := 0; ; attempt++ {
		pipe := s.client.Pipeline()
		build(pipe)
		if pipe.Len() == 0 {
			return nil, nil
		}
		cmds, err := pipe.Exec(ctx)
		if err == nil || onlyNil(cmds) {
			return cmds, nil
		}
		if attempt > 0 || !scriptMissing(cmds) {
			return nil, redisdb.Classify(err)
		}
		if err := redisdb.Load(ctx, s.client, scripts...); err != nil {
			return nil, redisdb.Classify(err)
		}
	}
}

func onlyNil(cmds []redis.Cmder) bool {
	for _, c := range cmds {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return false
		}
	}
	return true
}

func scriptMissing(cmds []redis.Cmder) bool {
	for _, c := range cmds {
		if redis.HasErrorPrefix(c.Err(), "NOSCRIPT") {
			return true
		}
	}
	return false
}
