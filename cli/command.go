package cli

import (
	"context"
	"errors"
	"time"

	"jangbu/command"
	"jangbu/infra/web"
)

type commandMode struct {
	storeFlags
	HTTP listenAddr `name:"http" help:"Address to serve on; port 0 picks a free one." default:"127.0.0.1:8081" env:"JANGBU_COMMAND_HTTP" placeholder:"ADDR"`
}

func (commandMode) Help() string {
	return `
It needs the event store and nothing else. While the store is away commands are answered with 503 and Retry-After; the service itself keeps running. Any number of these services may run at once.

Examples:

    jangbu command
    jangbu command --http :8081 --eventstore-url 'esdb://n1:2113,n2:2113,n3:2113?tls=true'
    curl -s 127.0.0.1:8081/members -H 'Content-Type: application/json' -d '{"id":"ada","name":"Ada"}'
`
}

// Run serves until ctx ends.
func (m *commandMode) Run(ctx context.Context, a *app) (err error) {
	listener, err := listen(m.HTTP)
	if err != nil {
		return err
	}
	store, err := m.openLeader(a)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	health := web.NewHealth(time.Now, a.log)
	health.Probe("eventstore", store.Ping)
	return a.serve(ctx, service{health: health, listener: listener, routes: command.New(store, command.Config{Logger: a.log}).Register})
}
