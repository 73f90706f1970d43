package projector

import (
	"context"
	"iter"

	"jangbu/query/row"
)

func (m faultyModel) Revive(ctx context.Context, view string, version int, token string) (row.Build, error) {
	return through(m.faults, func() (row.Build, error) { return m.store.Revive(ctx, view, version, token) })
}

func (m faultyModel) Abandon(ctx context.Context, g row.Generation, token string) error {
	return m.do(func() error { return m.store.Abandon(ctx, g, token) })
}

func (m faultyModel) Contents(ctx context.Context, g row.Generation, composed bool) iter.Seq2[[]row.Content, error] {
	return func(yield func([]row.Content, error) bool) {
		for batch, err := range m.store.Contents(ctx, g, composed) {
			if failed, _ := m.before(); failed != nil {
				yield(nil, failed)
				return
			}
			if !yield(batch, err) {
				return
			}
		}
	}
}

func (m faultyModel) Bodies(ctx context.Context, g row.Generation, composed bool, docs []string) ([][]byte, error) {
	return through(m.faults, func() ([][]byte, error) { return m.store.Bodies(ctx, g, composed, docs) })
}

func (m faultyModel) Versions(ctx context.Context, g row.Generation, docs []string) ([]string, error) {
	return through(m.faults, func() ([]string, error) { return m.store.Versions(ctx, g, docs) })
}

func (m faultyModel) Sources(ctx context.Context, g row.Generation, doc string) ([]string, error) {
	return through(m.faults, func() ([]string, error) { return m.store.Sources(ctx, g, doc) })
}
