// Package redisdb is what the adapters that keep something in Redis share: how a URL becomes a client, which errors a retry may cure, and
// the fence.
package redisdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"jangbu/domain/event"
)

// Dial makes a connection, as net.Dialer.DialContext does.
type Dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// Open parses rawURL; it makes no connection yet. redis:// and rediss:// name a single server, redis+cluster:// and rediss+cluster:// a node
// of a cluster (more nodes as ?addr=host:port). A nil dial connects by TCP, or TLS where the URL says so. A call is broken off at its
// context's deadline, and may be carried out all the same.
func Open(rawURL string, dial Dial) (redis.UniversalClient, error) {
	return opened(rawURL, dial, false)
}

// OpenOnce is Open for a client whose calls can be watched (Watch). It waits for one answer as long as others do for all that they try, and
// does not try again but where Redis has said that it did nothing. No call that was sent is broken off.
func OpenOnce(rawURL string, dial Dial) (redis.UniversalClient, error) {
	return opened(rawURL, dial, true)
}

func opened(rawURL string, dial Dial, once bool) (redis.UniversalClient, error) {
	client, err := open(rawURL, dial, once)
	if unreadable := (*url.Error)(nil); errors.As(err, &unreadable) { // which quotes the password
		err = errors.New("it cannot be read: what is no letter or digit in the user or the password must be percent-encoded")
	}
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL %q: %w; it looks like redis://127.0.0.1:6379 or redis+cluster://host:port", redacted(rawURL), err)
	}
	return client, nil
}

func open(rawURL string, dial Dial, once bool) (redis.UniversalClient, error) {
	// It spares new connections a question that only Redis Enterprise answers, and a lock held while it is asked.
	noNotices := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	const dials = 1 // commands are retried already; both together keep a caller waiting for seconds
	scheme, rest, _ := strings.Cut(rawURL, "://")
	if base, ok := strings.CutSuffix(scheme, "+cluster"); ok {
		opt, err := redis.ParseClusterURL(base + "://" + rest)
		if err != nil {
			return nil, err
		}
		opt.Dialer, opt.DialerRetries, opt.MaintNotificationsConfig = dial, dials, noNotices
		opt.ContextTimeoutEnabled = !once
		if once {
			opt.ReadTimeout, opt.WriteTimeout = longer(opt.ReadTimeout), longer(opt.WriteTimeout)
		}
		cluster := redis.NewClusterClient(opt)
		if once {
			cluster.OnNewNode(func(node *redis.Client) { node.AddHook(watch{}) })
		}
		return cluster, nil
	}
	opt, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	opt.DialTimeout = 2 * time.Second
	opt.Dialer, opt.DialerRetries, opt.MaintNotificationsConfig = dial, dials, noNotices
	if !once {
		opt.ContextTimeoutEnabled = true
		return redis.NewClient(opt), nil
	}
	opt.MaxRetries, opt.ReadTimeout, opt.WriteTimeout = -1, longer(opt.ReadTimeout), longer(opt.WriteTimeout)
	client := redis.NewClient(opt)
	client.AddHook(watch{})
	return client, nil
}

func redacted(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

// Classify marks errors that a retry may cure with event.ErrUnavailable. A reply in which Redis itself refuses a command is no such error,
// but for the replies that say "not now" or "not you", of which that it has no memory is event.ErrNoRoom; nor is it one that the caller gave up.
func Classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		code, _, _ := strings.Cut(reply.Error(), " ")
		switch code {
		case "LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "MISCONF", "MOVED", "ASK", "NOREPLICAS",
			"NOAUTH", "WRONGPASS", "NOPERM": // a password is being changed, or was set wrong
		case "OOM":
			return fmt.Errorf("redis: %w: %w", event.ErrNoRoom, err)
		default:
			return fmt.Errorf("redis: %w", err)
		}
	}
	return fmt.Errorf("redis: %w: %w", event.ErrUnavailable, err)
}

// Primaries gives a client for each server that takes writes. Errors are as go-redis gives them.
func Primaries(ctx context.Context, client redis.UniversalClient) ([]redis.Cmdable, error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{client}, nil
	}
	var mu sync.Mutex
	var all []redis.Cmdable
	err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c)
		return nil
	})
	return all, err
}

// Evicts names the maxmemory-policy by which a server throws away keys that it was told to keep, when its memory is full; "": none does. One
// that does not tell how it is set, or does not answer, is not complained of.
func Evicts(ctx context.Context, client redis.UniversalClient) string {
	primaries, err := Primaries(ctx, client)
	if err != nil {
		return "" // others say so
	}
	for _, c := range primaries {
		info, err := c.InfoMap(ctx, "memory").Result()
		if err != nil {
			continue
		}
		memory := info["Memory"]
		if policy := memory["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") && memory["maxmemory"] != "0" {
			return policy
		}
	}
	return ""
}

// Load puts scripts on every primary, and on no replica. Errors are as go-redis gives them.
func Load(ctx context.Context, client redis.UniversalClient, scripts ...*redis.Script) error {
	primaries, err := Primaries(ctx, client)
	if err != nil {
		return err
	}
	for _, c := range primaries {
		for _, script := range scripts {
			if err := script.Load(ctx, c).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}
