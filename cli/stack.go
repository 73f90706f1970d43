package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"jangbu/infra/embedded/eventstoredb"
	"jangbu/infra/embedded/redis"
	"jangbu/infra/embedded/snssqs"
)

type stackMode struct {
	embeddedFlags
}

func (stackMode) Help() string {
	return `
The event store is durable, in one file below --data. SNS/SQS and Redis live in memory: what they lose, the projector rebuilds from the event store.

When all three listen, the variables that the other modes need are printed to stderr, one a line.

Examples:

    jangbu stack
    jangbu stack --data /var/lib/jangbu
    jangbu stack --eventstore :2113 --aws :4566 --redis :6379     # reachable from other machines
    jangbu stack --eventstore 0 --aws 0 --redis 0                 # on free ports
`
}

// Run serves until ctx ends.
func (m *stackMode) Run(ctx context.Context, a *app) error {
	s, err := startEmbedded(m.embeddedFlags, a)
	if err != nil {
		return err
	}
	holdBallast()
	s.announce(a.stderr)
	<-ctx.Done()
	return s.Close()
}

// embedded is the three embedded servers, running.
type embedded struct {
	eventstoreURL string
	awsURL        string
	redisURL      string
	redis         *redis.Server
	closers       []io.Closer // in the order in which they were started
}

// storeFile is the embedded event store's file in its folder.
const storeFile = "events.db"

// startEmbedded starts all three or none.
func startEmbedded(flags embeddedFlags, a *app) (s *embedded, err error) {
	s = &embedded{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	store, err := eventstoredb.Start(eventstoredb.Config{
		Path: flags.file(), Addr: string(flags.Eventstore), Logger: a.log,
	})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return s, cannotListen(string(flags.Eventstore), "--eventstore", err)
	case errors.Is(err, eventstoredb.ErrLocked):
		return s, fmt.Errorf("%w: stop it, or choose another folder with --data", err)
	case errors.Is(err, eventstoredb.ErrDamaged):
		return s, fmt.Errorf("%w: see what is left of it with jangbu store verify, or put a backup in its place with jangbu store restore FILE --force, both with --data %s",
			err, flags.Data)
	case err != nil:
		return s, fmt.Errorf("start event store: %w", err)
	}
	s.closers, s.eventstoreURL = append(s.closers, store), store.URL()

	bus, err := snssqs.Start(snssqs.Config{Addr: string(flags.AWS), Logger: a.log})
	if err != nil {
		return s, cannotListen(string(flags.AWS), "--aws", err)
	}
	s.closers, s.awsURL = append(s.closers, bus), "http://"+reachable(bus.Addr())

	cache, err := redis.Start(redis.Config{Addr: string(flags.Redis)})
	if err != nil {
		return s, cannotListen(string(flags.Redis), "--redis", err)
	}
	s.closers, s.redis, s.redisURL = append(s.closers, cache), cache, cache.URL()
	return s, nil
}

// announce prints what the other modes need, ready to export.
func (s *embedded) announce(w io.Writer) {
	fmt.Fprintf(w, "EVENTSTORE_URL=%s\nREDIS_URL=%s\nAWS_ENDPOINT_URL=%s\n", s.eventstoreURL, s.redisURL, s.awsURL)
}

// Close stops the servers, the last started first.
func (s *embedded) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i].Close())
	}
	s.closers = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the embedded servers: %w", err)
	}
	return nil
}
