// Package web is the HTTP server that the command and the query API share: an echo instance on which every answer
// that is not a success is an RFC 9457 problem, with limits, request ids, health and a graceful stop.
//
// # How a request walks through it
//
//	accept ─► request id ─► access log (debug) ─► recover ─► body limit ─► router ─► handler
//	                                                                                   │
//	                 problem+json ◄── error handler: one place, one shape ◄── error ───┘
//
// A handler returns an error and writes nothing. A *Problem is sent as it is, with its headers. Any other error is
// 500 "internal": the client learns only the request's id, the log gets the error, once.
//
// # Guarantees
//
//   - Unknown routes are 404, known routes with another method 405 with Allow, bodies over the limit 413, bodies that
//     are not JSON 415: all as problems.
//   - HEAD is answered wherever GET is.
//   - A panic in a handler is 500 for that one request and logged once with its stack.
//   - Serve answers what it has accepted before it returns, for as long as the grace allows.
//
// # One address or several
//
// New returns a bare *echo.Echo with /healthz and /readyz. Both APIs may be registered on one instance (mode dev), or
// each on its own.
//
//	health := web.NewHealth(time.Now, log)
//	e := web.New(web.Config{Health: health})
//	orders.Register(e)
//	err := web.Serve(ctx, e, listener, 10*time.Second)
package web
