package cli

import (
	"context"
	"fmt"

	"jangbu/cli/term"
)

type provisionMode struct {
	busFlags
	shopFlags
}

func (provisionMode) Help() string {
	return `
Running it again changes nothing that is as it should be. Dev, projector and fulfilment do it by themselves, now and whenever something is found missing; run it, with rights to create topics and queues, where they may not (--no-provision).

Examples:

    jangbu provision --aws-endpoint-url http://127.0.0.1:4566
    AWS_REGION=eu-central-1 jangbu provision --topic shop
`
}

// Run provisions once.
func (m *provisionMode) Run(ctx context.Context, a *app) error {
	b, err := m.open(ctx, m.shopFlags)
	if err != nil {
		return err
	}
	defer b.Close()
	report, err := b.Provision(ctx, subscriptions())
	table := term.NewTable("KIND", "NAME", "OUTCOME")
	for _, r := range report.Resources {
		table.Row(r.Kind, r.Name, string(r.Outcome))
	}
	if len(report.Resources) > 0 {
		if _, printErr := table.WriteTo(a.stdout); err == nil {
			err = printErr
		}
	}
	if err != nil {
		return fmt.Errorf("%w; see that --aws-endpoint-url is right and that you may create topics and queues, then run this again", err)
	}
	return nil
}
