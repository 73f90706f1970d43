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
// change nothing. So 200 also says what a product costs, where one asks for a price the folder has. Products are asked for
// first; a shop without any of them has none of the orders.
func (r *runner) survey(ctx context.Context, f *folder) (present, error) {
	var shop present
	probes := make([]step, len(f.products))
	for i, d := range f.products {
		probes[i] = step{path: "/products/" + url.PathEscape(d.id) + "/reprice", body: encode(repriceBody{d.price})}
	}
	answers, err := r.ask(ctx, probes)
	if err != nil {
		return shop, err
	}
	shop.products = make(map[string]bool, len(f.products))
	listed := map[string]bool{} // what costs its list price
	for i, status := range answers {
		id := f.products[i].id
		shop.products[id], listed[id] = status != http.StatusNotFound, status == http.StatusOK
		shop.resumed = shop.resumed || shop.products[id]
	}
	if !shop.resumed {
		return shop, nil
	}
	if shop.prices, err = r.surveyPrices(ctx, f, func(id string) bool { return shop.products[id] && !listed[id] }); err != nil {
		return shop, err
	}
	probes = make([]step, len(f.orders))
	for i, o := range f.orders {
		body := shipBody{cmp.Or(o.carrier, "none"), cmp.Or(o.shippedOn, o.placedOn)}
		probes[i] = step{path: "/orders/" + url.PathEscape(o.id) + "/ship", body: encode(body)}
	}
	if answers, err = r.ask(ctx, probes); err != nil {
		return shop, err
	}
	shop.orders = make(map[string]bool, len(f.orders))
	for i, status := range answers {
		shop.orders[f.orders[i].id] = status != http.StatusNotFound
	}
	return shop, nil
}

// surveyPrices finds the products, of those to ask for, that cost what a line of an order names, and that price.
func (r *runner) surveyPrices(ctx context.Context, f *folder, wanted func(productID string) bool) (map[string]int64, error) {
	type named struct {
		productID string
		price     int64
	}
	var all []named
	asked := map[named]bool{}
	for _, o := range f.orders {
		for _, ln := range o.lines {
			n := named{ln.productID, ln.price}
			if wanted(n.productID) && !asked[n] {
				asked[n] = true
				all = append(all, n)
			}
		}
	}
	probes := make([]step, len(all))
	for i, n := range all {
		probes[i] = step{path: "/products/" + url.PathEscape(n.productID) + "/reprice", body: encode(repriceBody{n.price})}
	}
	answers, err := r.ask(ctx, probes)
	if err != nil {
		return nil, err
	}
	prices := map[string]int64{}
	for i, status := range answers {
		if status == http.StatusOK {
			prices[all[i].productID] = all[i].price
		}
	}
	return prices, nil
}

// ask sends the probes side by side and returns the status of each answer: 404, 412, 409 or 200.
func (r *runner) ask(ctx context.Context, probes []step) ([]int, error) {
	statuses := make([]int, len(probes))
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
				case http.StatusNotFound, http.StatusOK, http.StatusPreconditionFailed, http.StatusConflict:
					statuses[from+i] = a.status
				default:
					return fmt.Errorf("%s%s answered %s", r.client.base, batch[i].path, a.text())
				}
			}
			return nil
		})
	}
	return statuses, g.Wait()
}
