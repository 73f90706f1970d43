package importer

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"
)

// survey finds out what an earlier run left in the shop. Prices make that necessary: an order that is still missing may
// need a price the shop had long ago, and a repeated reprice answers as it did then without pricing anything.
//
// The write API answers no reads, so survey sends commands that cannot take effect, because their If-Match names a
// revision no stream has: 404 means that the thing is not there, 412 that it is, and so does 200 when the command would
// change nothing. Products are asked for first; a shop without any of them has none of the orders.
func (r *runner) survey(ctx context.Context, f *folder) (present, error) {
	var shop present
	probes := make([]step, len(f.products))
	for i, d := range f.products {
		probes[i] = step{path: "/products/" + url.PathEscape(d.id) + "/reprice", body: encode(repriceBody{d.price})}
	}
	there, err := r.ask(ctx, probes)
	if err != nil {
		return shop, err
	}
	shop.products = make(map[string]bool, len(f.products))
	for i, yes := range there {
		shop.products[f.products[i].id] = yes
		shop.resumed = shop.resumed || yes
	}
	if !shop.resumed {
		return shop, nil
	}
	probes = make([]step, len(f.orders))
	for i, o := range f.orders {
		body := shipBody{cmp.Or(o.carrier, "none"), cmp.Or(o.shippedOn, o.placedOn)}
		probes[i] = step{path: "/orders/" + url.PathEscape(o.id) + "/ship", body: encode(body)}
	}
	there, err = r.ask(ctx, probes)
	if err != nil {
		return shop, err
	}
	shop.orders = make(map[string]bool, len(f.orders))
	for i, yes := range there {
		shop.orders[f.orders[i].id] = yes
	}
	return shop, nil
}

// ask sends the probes side by side and tells, for each, whether the thing it is about exists.
func (r *runner) ask(ctx context.Context, probes []step) ([]bool, error) {
	there := make([]bool, len(probes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.cfg.Workers)
	for from := 0; from < len(probes); from += maxBatch {
		to := min(from+maxBatch, len(probes))
		g.Go(func() error {
			batch := make([]*step, to-from)
			for i := range batch {
				batch[i] = &probes[from+i]
				batch[i].ifMatch = noRevision
			}
			answers, err := r.client.post(ctx, batch)
			if err != nil {
				return err
			}
			for i, a := range answers {
				switch a.status {
				case http.StatusNotFound:
				case http.StatusOK, http.StatusPreconditionFailed, http.StatusConflict:
					there[from+i] = true
				default:
					return fmt.Errorf("%s%s answered %s", r.client.base, batch[i].path, a.text())
				}
			}
			return nil
		})
	}
	return there, g.Wait()
}
