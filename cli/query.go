package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jangbu/infra/readmodel"
	"jangbu/infra/web"
	"jangbu/query"
	"jangbu/query/view"
)

type queryMode struct {
	redisFlags
	shopFlags
	HTTP listenAddr `name:"http" help:"Address to serve on; port 0 picks a free one." default:"127.0.0.1:8082" env:"JANGBU_QUERY_HTTP" placeholder:"ADDR"`
}

func (queryMode) Help() string {
	return `
It needs Redis and nothing else. Any number of these services may run at once.

Examples:

    jangbu query
    jangbu query --http :8082 --redis-url redis://cache:6379
    curl -s 127.0.0.1:8082/orders/10248
`
}

// Run serves until ctx ends.
func (m *queryMode) Run(ctx context.Context, a *app) (err error) {
	holdBallast()
	listener, err := listen(m.HTTP)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreClosed(listener.Close())) }()
	model, err := m.open(a, m.shopFlags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	health := web.NewHealth(time.Now, a.log)
	health.Probe("redis", model.Ping)
	health.Probe("generations", generationsProbe(model))
	return a.serve(ctx, service{health: health, listener: listener, routes: query.New(model, query.Config{}).Register})
}

// generationsProbe is red while some view cannot be read.
func generationsProbe(model *readmodel.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, v := range view.All() {
			g, err := model.Live(ctx, v.Name, false)
			if err != nil {
				return err
			}
			if g.Number == 0 {
				return fmt.Errorf("view %s has not been built yet: see that a projector runs", v.Name)
			}
		}
		return nil
	}
}
