package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"jangbu/domain/event"
	"jangbu/domain/product"
	"jangbu/domain/stock"
	"jangbu/infra/web"
)

var stocks = aggregate[stock.State, stock.Command]{stock.Category, stock.Codec, stock.Apply, stock.Decide}

func (s *Service) registerStock(e *echo.Echo) {
	e.POST("/products/:id/restock", stocking(s, restock))
	e.POST("/products/:id/count", stocking(s, countStock))
	e.POST("/products/:id/low-water", stocking(s, setLowWater))
}

type restockBody struct {
	Quantity int64 `json:"quantity"`
}

func restock(id string, known bool, b restockBody) stock.Command {
	return stock.Restock{ProductID: id, Quantity: b.Quantity, Known: known}
}

type countBody struct {
	OnHand *int64 `json:"on_hand"`
	Reason string `json:"reason"`
}

func countStock(id string, known bool, b countBody) stock.Command {
	return stock.Count{ProductID: id, OnHand: given(b.OnHand), Reason: b.Reason, Known: known}
}

type lowWaterBody struct {
	LowWater *int64 `json:"low_water"`
}

func setLowWater(id string, known bool, b lowWaterBody) stock.Command {
	return stock.SetLowWater{ProductID: id, LowWater: given(b.LowWater), Known: known}
}

// stocking handles a POST about the stock of the product whose id is in the path. Whether there is such a product is read
// once, beforehand: one that is there stays there.
func stocking[B any](s *Service, command func(id string, known bool, body B) stock.Command) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, body, r, err := readChange[B](c, product.Category, web.Decode)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.Timeout)
		defer cancel()
		p, err := current(ctx, s, s.products(), id)
		if err != nil {
			return problem(err)
		}
		if p.Exists && r.match.Present {
			// A product without stock is there though its stream is not: no revision can be the one that is meant.
			switch begun, err := s.begun(ctx, stock.Stream(id)); {
			case err != nil:
				return problem(err)
			case !begun:
				return web.NewProblem(http.StatusPreconditionFailed, "revision-mismatch", "If-Match names a revision of a stock that is yet to be made.")
			}
		}
		return s.run(c, stocks.operation(r, id, command(id, p.Exists, body)))
	}
}

// begun reports whether a stream has events.
func (s *Service) begun(ctx context.Context, stream string) (bool, error) {
	for _, err := range s.store.ReadStream(ctx, stream, 0) {
		if errors.Is(err, event.ErrStreamNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read %s: %w", stream, err)
		}
		break
	}
	return true, nil
}
