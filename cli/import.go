package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"jangbu/cli/importer"
	"jangbu/cli/term"
)

type importMode struct {
	Dir      string        `arg:"" help:"Folder with members.csv, products.csv, orders.csv and lines.csv."`
	URL      string        `name:"url" help:"API to post to." default:"http://127.0.0.1:8080" env:"JANGBU_URL" placeholder:"URL"`
	Workers  int           `help:"Batches of commands in flight." default:"8" env:"JANGBU_IMPORT_WORKERS" placeholder:"N"`
	Patience time.Duration `help:"How long the API may answer nothing at all before the import stops." default:"30s" env:"JANGBU_IMPORT_PATIENCE" placeholder:"TIME"`
}

func (importMode) Help() string {
	return `
Orders are placed by date, each at the prices its lines name: a product is repriced whenever a line's price differs. Each product's opening stock is put there first, orders are on account (payment method invoice), and each is shipped once fulfilment has confirmed it. Whatever does not depend on each other runs side by side.

A product's opening_stock must cover all its orders in the folder; a product with less is reported and left out, with its orders, until the row is corrected. Once a product is in the shop, its opening_stock cannot be corrected any more: restock it (POST /products/{id}/restock) before importing orders that take more, as those beyond the stock are cancelled as sold out.

Importing again is safe at any time: after a kill it resumes, and when all is there it changes nothing. What the shop has priced anew since stays so, with two exceptions: the products of an order that was missing end at the price of their last order, and so does a product that costs what another of its orders names, unless that is its list price, since an import that was killed may have left it there. A row that is wrong is reported with file and line, the others go on, and the exit code is 1; correct the row and import again. Do not run two imports at once: one that starts half-way through the other may set a price that an order of the other then pays.

Examples:

    jangbu import ../shared/data/northwind
    jangbu import ./shop --url http://127.0.0.1:8081 --workers 16
    jangbu import ./shop 2> problems.txt
`
}

// Validate implements kong.Validatable.
func (m *importMode) Validate() error {
	if m.Workers < 1 || m.Workers > 10_000 {
		return fmt.Errorf("--workers must be from 1 to 10000, not %d", m.Workers)
	}
	if m.Patience <= 0 {
		return fmt.Errorf("--patience must be longer than nothing, not %s", m.Patience)
	}
	return nil
}

// Run imports the folder, with a bar for each kind of step on stderr and the sums on stdout.
func (m *importMode) Run(ctx context.Context, a *app) error {
	if info, err := os.Stat(m.Dir); err != nil || !info.IsDir() {
		return &failure{exitUsage, fmt.Errorf("%s is not a folder: name one with members.csv, products.csv, orders.csv and lines.csv", m.Dir)}
	}
	report, err := m.importWithBars(ctx, a)
	for _, p := range report.Problems {
		fmt.Fprintln(a.stderr, p)
	}
	if report.Total() > 0 {
		if err := printCounts(a, report); err != nil {
			return err
		}
	}
	done := fmt.Sprintf("%s of %s steps done", term.Count(int64(report.Done())), term.Count(int64(report.Total())))
	switch {
	case ctx.Err() != nil:
		return &failure{exitInterrupted, fmt.Errorf("interrupted, %s: run the same import again to resume it", done)}
	case errors.Is(err, importer.ErrNoURL):
		return wrongURL(err, "--url (JANGBU_URL)")
	case errors.Is(err, importer.ErrStopped):
		return fmt.Errorf("%w, %s: see that the API runs at --url and jangbu fulfilment beside it, then run the same import again to resume it", err, done)
	case errors.Is(err, importer.ErrNoAPI):
		return fmt.Errorf("%w see --url, then run the same import again, %s", err, done)
	case err != nil:
		return err
	case len(report.Problems) > 0:
		return fmt.Errorf("%d problems, listed above by file and line: correct the rows and run the same import again", len(report.Problems))
	}
	return nil
}

func (m *importMode) importWithBars(ctx context.Context, a *app) (report importer.Report, err error) {
	bars := map[importer.Kind]*term.Bar{}
	err = drawProgress(ctx, a, func(p *term.Progress) (err error) {
		report, err = importer.Run(ctx, m.Dir, importer.Config{URL: m.URL, Workers: m.Workers, Patience: m.Patience,
			Progress: func(kind importer.Kind, done, total int) {
				if bars[kind] == nil {
					bars[kind] = p.Bar(string(kind), int64(total))
				}
				bars[kind].Set(int64(done))
			}})
		return err
	})
	return report, err
}

func printCounts(a *app, report importer.Report) error {
	table := term.NewTable("", "DONE>", "OF>")
	for _, c := range report.Counts {
		if c.Total > 0 {
			table.Row(string(c.Kind), term.Count(int64(c.Done)), term.Count(int64(c.Total)))
		}
	}
	if _, err := table.WriteTo(a.stdout); err != nil {
		return fmt.Errorf("print the sums: %w", err)
	}
	_, err := fmt.Fprintf(a.stdout, "in %s\n", term.Duration(report.Elapsed))
	return err
}
