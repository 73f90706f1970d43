package readmodel

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogTo sends what go-redis has to say about its connections to logger, at debug level: every failure is returned to its
// caller as well. go-redis has one logger a process, so this is for main.
func LogTo(logger *slog.Logger) { redis.SetLogger(clientLog{logger}) }

type clientLog struct{ *slog.Logger }

func (l clientLog) Printf(_ context.Context, format string, args ...any) {
	l.Debug("redis client: " + fmt.Sprintf(format, args...))
}
