package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"jangbu/domain/event"
	"jangbu/infra/embedded/redis"
	"jangbu/infra/eventstore"
)

// A clean stop of dev leaves a snapshot of the views, so that the next start need not build them. It is only good for the
// program that made it, since another may have other views, and for a log that has the event at which it was made, at the
// same position, since another log may be in its place, or the same one imported. It is used once: after that it is old, and a start that
// finds none builds the views. What was recorded since it was made, the sweep finds.

// stamp says what a snapshot is good for.
type stamp struct {
	Program  string    `json:"program"` // hash of the executable
	Stream   string    `json:"stream"`  // of the last event
	Revision int64     `json:"revision"`
	Event    uuid.UUID `json:"event"`
	Position string    `json:"position"`
}

func snapshotFile(data string) string { return filepath.Join(data, "views.snapshot") }

// takeUp loads the snapshot if there is one and it is good. Whatever is wrong with it, the views can be built. An interruption is
// nothing wrong: what is loaded now is left again.
func takeUp(ctx context.Context, a *app, path string, server *redis.Server, store *eventstore.Store) {
	label, err := redis.Label(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = fits(context.WithoutCancel(ctx), label, store)
	}
	if err == nil {
		err = server.Load(path)
	}
	if err != nil {
		a.log.Info("the snapshot of the views is not used; they are built from the log", "reason", err)
	}
	if err := os.Remove(path); err != nil {
		a.log.Warn("the snapshot of the views cannot be removed", "err", err)
	}
}

func fits(ctx context.Context, label string, store *eventstore.Store) error {
	var s stamp
	if err := json.Unmarshal([]byte(label), &s); err != nil {
		return fmt.Errorf("its label cannot be read: %w", err)
	}
	program, err := programHash()
	if err != nil {
		return err
	}
	if s.Program != program {
		return errors.New("another build of jangbu made it")
	}
	position, err := event.ParsePosition(s.Position)
	if err != nil {
		return fmt.Errorf("its label cannot be read: %w", err)
	}
	return holds(ctx, store.ReadStream, event.Recorded{Stream: s.Stream, Revision: s.Revision, ID: s.Event, Position: position})
}

// leave saves a snapshot. All that writes to the server must have stopped.
func leave(ctx context.Context, path string, server *redis.Server, store *eventstore.Store) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	head, err := store.Head(ctx)
	if errors.Is(err, event.ErrStreamNotFound) {
		return nil // nothing to keep
	}
	if err != nil {
		return fmt.Errorf("save the views: %w", err)
	}
	program, err := programHash()
	if err != nil {
		return fmt.Errorf("save the views: %w", err)
	}
	label, err := json.Marshal(stamp{Program: program, Stream: head.Stream, Revision: head.Revision, Event: head.ID, Position: head.Position.String()})
	if err != nil {
		return fmt.Errorf("save the views: %w", err)
	}
	return errors.Join(server.Close(), server.Save(path, string(label)))
}

// programHash names the build that runs, by its contents.
func programHash() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := xxhash.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%016x", hash.Sum64()), nil
}
