package readmodel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"jangbu/infra/redisdb"
	"jangbu/query/row"
)

// wholeList is how many items of a list a body shows.
const wholeList = 1000

var errEnough = errors.New("the reader wants no more")

// Contents yields what readers find in a generation, in batches and in no order; some documents perhaps twice. A document that
// comes or goes meanwhile may be left out.
func (s *Store) Contents(ctx context.Context, g row.Generation, composed bool) iter.Seq2[[]row.Content, error] {
	prefix := s.namespace + ":{" + g.View + "." + name(g) + "."
	kind := "}:d:"
	if composed {
		kind = "}:j:"
	}
	return func(yield func([]row.Content, error) bool) {
		err := s.scan(ctx, prefix+"*"+kind+"*", func(keys []string) error {
			docs := make([]string, 0, len(keys))
			for _, k := range keys {
				if _, doc, _ := strings.Cut(strings.TrimPrefix(k, prefix), kind); !strings.HasPrefix(doc, row.Shared("")) {
					docs = append(docs, doc)
				}
			}
			bodies, err := s.Bodies(ctx, g, composed, docs)
			if err != nil {
				return err
			}
			contents := make([]row.Content, 0, len(docs))
			for i, doc := range docs {
				if bodies[i] != nil {
					contents = append(contents, row.Content{Doc: doc, Body: bodies[i]})
				}
			}
			if !yield(contents, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, fmt.Errorf("read the documents of %s: %w", g, err))
		}
	}
}

// Bodies gives documents as readers find them, nil where they find none.
func (s *Store) Bodies(ctx context.Context, g row.Generation, composed bool, docs []string) ([][]byte, error) {
	bodies := make([][]byte, len(docs))
	var err error
	if composed {
		err = s.composedBodies(ctx, g, docs, bodies)
	} else {
		err = s.listBodies(ctx, g, docs, bodies)
	}
	if err != nil {
		return nil, fmt.Errorf("read documents of %s: %w", g, err)
	}
	return bodies, nil
}

func (s *Store) composedBodies(ctx context.Context, g row.Generation, docs []string, bodies [][]byte) error {
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, doc := range docs {
			p.Get(ctx, s.key(g, 'j', doc))
		}
	})
	for i, cmd := range cmds {
		if cmd.Err() == nil {
			bodies[i] = []byte(cmd.(*redis.StringCmd).Val())
		}
	}
	return err
}

func (s *Store) listBodies(ctx context.Context, g row.Generation, docs []string, bodies [][]byte) error {
	exists, members := make([]func() bool, len(docs)), make([]*redis.StringSliceCmd, len(docs))
	_, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for i, doc := range docs {
			exists[i] = s.listExists(ctx, p, g, doc)
			members[i] = p.ZRange(ctx, s.key(g, 'z', doc), 0, wholeList)
		}
	})
	if err != nil {
		return err
	}
	for i, doc := range docs {
		items := members[i].Val()
		switch {
		case !exists[i]():
		case len(items) <= wholeList:
			bodies[i] = listBody(items)
		default:
			if bodies[i], err = s.listDigest(ctx, g, doc); err != nil {
				return err
			}
		}
	}
	return nil
}

func listBody(members []string) []byte {
	body := []byte{}
	for _, m := range members {
		body = append(append(body, m[strings.LastIndexByte(m, 0)+1:]...), '\n')
	}
	return bytes.TrimSuffix(body, []byte("\n"))
}

// listDigest reads a long list in pages.
func (s *Store) listDigest(ctx context.Context, g row.Generation, doc string) ([]byte, error) {
	hash, n := xxhash.New(), int64(0)
	for {
		items, err := s.client.ZRange(ctx, s.key(g, 'z', doc), n, n+wholeList-1).Result()
		if err != nil {
			return nil, redisdb.Classify(err)
		}
		for _, m := range items {
			_, _ = hash.WriteString(m + "\n") // it never fails
		}
		n += int64(len(items))
		if len(items) < wholeList {
			return fmt.Appendf(nil, "%d items, hash %016x", n, hash.Sum64()), nil
		}
	}
}

// Versions gives the versions of documents, "" where nothing has landed. A version changes with every landing that changes the
// document, and when it is composed.
func (s *Store) Versions(ctx context.Context, g row.Generation, docs []string) ([]string, error) {
	versions := make([]string, len(docs))
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for _, doc := range docs {
			p.HGet(ctx, s.key(g, 'd', doc), "v")
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read versions of %s: %w", g, err)
	}
	for i, cmd := range cmds {
		versions[i] = cmd.(*redis.StringCmd).Val()
	}
	return versions, nil
}

// Sources lists the streams that a document has, or had, rows of.
func (s *Store) Sources(ctx context.Context, g row.Generation, doc string) ([]string, error) {
	cmds, err := s.pipeline(ctx, func(p redis.Pipeliner) {
		p.HKeys(ctx, s.key(g, 'd', doc))
		p.HKeys(ctx, s.key(g, 'r', doc))
	})
	if err != nil {
		return nil, fmt.Errorf("read the sources of %s/%s: %w", g, doc, err)
	}
	sources := slices.Clone(cmds[1].(*redis.StringSliceCmd).Val())
	for _, field := range cmds[0].(*redis.StringSliceCmd).Val() {
		if source, ok := strings.CutPrefix(field, "p:"); ok {
			sources = append(sources, source)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources), nil
}
