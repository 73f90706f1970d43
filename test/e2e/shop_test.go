package e2e_test

import (
	"errors"
	"log/slog"
	"testing"

	"jangbu/infra/eventstore"
	"jangbu/test/program"
	"jangbu/test/race"
	"jangbu/test/servers"
)

// shop is a running jangbu, however it is put together.
type shop struct {
	data       string // folder of the event store
	command    string // where commands are POSTed
	query      string // where views are read
	health     []string
	eventstore string
	redis      string
	aws        string
	store      *eventstore.Store // a client of the log
	launch     program.Launcher
	args       map[string][]string         // the command line of each program
	programs   map[string]*program.Program // the one that runs, or ran last
}

// start runs a program of the shop, and keeps it and its command line under a name.
func (s *shop) start(t *testing.T, name string, args ...string) *program.Program {
	t.Helper()
	if s.args == nil {
		s.args, s.programs = map[string][]string{}, map[string]*program.Program{}
	}
	s.args[name] = args
	return s.restart(t, name)
}

// restart runs a program that has ended once more.
func (s *shop) restart(t *testing.T, name string) *program.Program {
	t.Helper()
	s.programs[name] = s.launch(t, s.args[name]...)
	return s.programs[name]
}

// variant is one way of putting the program together.
type variant struct {
	name string
	open func(t *testing.T) *shop
}

func variants() []variant {
	return oneUnderRace([]variant{
		{"dev in this process", func(t *testing.T) *shop { return openDev(t, program.InProcess, t.TempDir()) }},
		{"dev as a process", func(t *testing.T) *shop { return openDev(t, program.AsProcess, t.TempDir()) }},
		{"separate processes", func(t *testing.T) *shop { return openApart(t, program.AsProcess, t.TempDir(), "") }},
		{"redis-server", func(t *testing.T) *shop { return openApart(t, program.InProcess, t.TempDir(), servers.RedisServer(t)) }},
		{"redis-cluster", func(t *testing.T) *shop { return openApart(t, program.InProcess, t.TempDir(), servers.RedisCluster(t)) }},
	})
}

// oneUnderRace is the first of several ways to run under the race detector, and all of them without it.
func oneUnderRace[W any](ways []W) []W {
	if race.Enabled {
		return ways[:1]
	}
	return ways
}

// openDev runs everything as one program over a data folder, which may hold events already.
func openDev(t *testing.T, start program.Launcher, data string) *shop {
	t.Helper()
	s := &shop{data: data, launch: start}
	dev := s.start(t, "dev", "dev", "--data", data, "--http", "0", "--eventstore", "0", "--aws", "0", "--redis", "0", "--log-level", "warn")
	s.eventstore, s.redis, s.aws = dev.Line(t, &dev.Stderr, "EVENTSTORE_URL="), dev.Line(t, &dev.Stderr, "REDIS_URL="), dev.Line(t, &dev.Stderr, "AWS_ENDPOINT_URL=")
	s.command = dev.Ready(t)
	s.query, s.health = s.command, []string{s.command}
	s.connect(t)
	return s
}

// openApart runs stack, command, projector, fulfilment and query, each a program of its own, all on ports that stay theirs. With a
// redisURL, that Redis takes the place of the embedded one.
func openApart(t *testing.T, start program.Launcher, data, redisURL string) *shop {
	t.Helper()
	s := &shop{data: data, launch: start}
	stack := s.startStack(t, "stack", data)
	s.eventstore, s.redis, s.aws = stack.Line(t, &stack.Stderr, "EVENTSTORE_URL="), stack.Line(t, &stack.Stderr, "REDIS_URL="), stack.Line(t, &stack.Stderr, "AWS_ENDPOINT_URL=")
	if redisURL != "" {
		s.redis = redisURL
	}
	s.startServices(t)
	return s
}

func (s *shop) startStack(t *testing.T, name, data string) *program.Program {
	t.Helper()
	return s.start(t, name, "stack", "--data", data, "--eventstore", servers.Port(t), "--aws", servers.Port(t), "--redis", servers.Port(t), "--log-level", "warn")
}

// startServices starts what serves the API, a projector and fulfilment.
func (s *shop) startServices(t *testing.T) {
	t.Helper()
	command := s.start(t, "command", "command", "--http", servers.Port(t), "--eventstore-url", s.eventstore, "--log-level", "error")
	query := s.start(t, "query", "query", "--http", servers.Port(t), "--redis-url", s.redis, "--log-level", "error")
	projector := s.startProjector(t, "projector")
	fulfilment := s.start(t, "fulfilment", "fulfilment", "--http", servers.Port(t), "--eventstore-url", s.eventstore, "--redis-url", s.redis,
		"--aws-endpoint-url", s.aws, "--log-level", "error")
	s.command, s.query = command.Ready(t), query.Ready(t)
	s.health = []string{s.command, s.query, projector.Ready(t), fulfilment.Ready(t)}
	s.connect(t)
}

func (s *shop) startProjector(t *testing.T, name string) *program.Program {
	t.Helper()
	return s.start(t, name, "projector", "--http", servers.Port(t), "--eventstore-url", s.eventstore, "--redis-url", s.redis,
		"--aws-endpoint-url", s.aws, "--log-level", "error")
}

// connect opens a client of the log and waits until the whole shop calls itself ready.
func (s *shop) connect(t *testing.T) {
	t.Helper()
	store, err := eventstore.Open(s.eventstore, eventstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.store = store
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.awaitReady(t)
}

// awaitReady waits until GET /readyz of every service is 200.
func (s *shop) awaitReady(t *testing.T) {
	t.Helper()
	servers.Until(t, "every service is ready", func() error {
		for _, url := range s.health {
			a, err := tryGet(url, "/readyz")
			if err == nil && a.status != 200 {
				err = errors.New(a.String())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// importFolder imports a folder of CSV files through the API.
func (s *shop) importFolder(t *testing.T, dir string) {
	t.Helper()
	program.MustExecute(t, "import", dir, "--url", s.command)
}

// replay runs jangbu replay.
func (s *shop) replay(t *testing.T, views ...string) {
	t.Helper()
	program.MustExecute(t, append([]string{"replay", "--eventstore-url", s.eventstore, "--redis-url", s.redis}, views...)...)
}
