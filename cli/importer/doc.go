// Package importer posts a folder of CSV files into a running shop through its public HTTP API, so that the shop
// afterwards holds the same members, products and orders, each order at the prices its lines name.
//
// The API takes no prices from clients: an order pays what its products cost at that moment. So the import walks
// the orders by date, then id, and reprices a product whenever the next line's price is another. That walk is turned
// into a plan, a list of steps that know which steps they need and which they only follow:
//
//	member ──────────────┐
//	product ─┬─► stock ──┼─► order ─► ship
//	         └─► reprice ┘     │
//	                ▲          │        an order needs its member, its stock and the step that set each of its prices;
//	                └──────────┘        a reprice follows every order that still pays the price before
//
// Orders are on account (payment method invoice) and go through fulfilment like any others, so each is shipped as soon as
// the shop has confirmed it; until then it is put off and asked for again, and no worker waits for it (see later.go).
// Whatever the plan leaves free runs side by side, up to a hundred commands in a batch (POST /batch). A step that fails
// takes along the steps that need it, which are reported as skipped because of it; steps that only follow go on.
//
// Every step carries an Idempotency-Key made from the row it stands for, so the server answers a repeated step as it
// answered the first: a run after a crash, or a second run, adds nothing. A run that finds products in the shop
// first asks which orders are there already (see survey.go), and sets prices only for those that are missing, so a
// folder with bad rows can be corrected and imported again. Prices that the shop has set since stay, with two exceptions:
// the products of an order that was missing end at the price of their last order, and so does a product at a price that
// another of its orders names, since that may be what a run left that was killed. The list price is not taken for such a
// one, so a run that is killed after it set the list price for a missing order leaves it.
//
// A product's opening stock must cover all its orders in the folder: fulfilment would cancel the rest as sold out, and the stock
// is put there once. A product with less is left out with its orders, unless it is in the shop already.
//
// Rows that cannot be right are reported with file and line, the rest goes on, and no order is placed in part: an
// order with a bad line is left out whole. When the server does not answer for Config.Patience the run stops, and
// running it again resumes it.
package importer
