package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	engine "github.com/docker/docker/api/types/image"
	"go.uber.org/zap"
)

// pull is one that is under way.
type pull struct {
	done chan struct{} // closed when err is set
	err  error
}

// pull has the engine pull an image. Those who want the same at the same time
// share one pull. It goes on when they have no more time for it: whoever comes
// next finds the image.
func (s *images) pull(ctx context.Context, key pullKey, c credential, r request) error {
	s.mu.Lock()
	p := s.pulls[key]
	if p == nil {
		p = &pull{done: make(chan struct{})}
		s.pulls[key] = p
		s.factory.running.Go(func() {
			p.err = s.pullNow(key, c, r)
			s.mu.Lock()
			delete(s.pulls, key)
			s.mu.Unlock()
			close(p.done)
		})
	}
	s.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the pull of %s: %w", r.name, ctx.Err())
	}
}

func (s *images) pullNow(key pullKey, c credential, r request) error {
	f := s.factory
	ctx, cancel := context.WithTimeout(f.ctx, f.config.PullTimeout)
	defer cancel()
	before, err := s.inspect(ctx, r.name)
	if err != nil {
		return err
	}
	began := time.Now()
	err = f.enginePull(ctx, r.name.String(), c.header)
	f.metrics.pulled(began, err)
	if err != nil {
		f.log.Warn("an image could not be pulled", zap.String("image", r.name.String()),
			zap.String("namespace", r.namespace), zap.Error(explain(err)))
		return fmt.Errorf("pull %s: %w", r.name, explain(err))
	}
	after, err := s.inspect(ctx, r.name)
	if err != nil {
		return err
	}
	if after == nil {
		return fmt.Errorf("pull %s: the engine does not have it afterwards", r.name)
	}
	f.log.Info("pulled an image", zap.String("image", r.name.String()), zap.String("id", after.id),
		zap.String("namespace", r.namespace), zap.Duration("took", time.Since(began)))
	s.noteChecked(key)
	return s.note(c, r, before, after)
}

// note keeps who may use an image that was pulled.
func (s *images) note(c credential, r request, before, after *image) error {
	switch {
	case !c.isNamespaces: // everybody could have pulled it
		return s.grants.remove(after.id)
	case before != nil && before.id == after.id && !s.grants.isRestricted(after.id):
		return nil // it was everybody's before
	}
	return s.grants.add(after.id, r.namespace)
}

// enginePull pulls an image. header is what the registry is told of who asks.
func (f *Factory) enginePull(ctx context.Context, name, header string) error {
	progress, err := f.api.ImagePull(ctx, name, engine.PullOptions{RegistryAuth: header})
	if err != nil {
		return err
	}
	defer func() { _ = progress.Close() }() // whatever was wrong, reading said it
	lines := json.NewDecoder(progress)
	for {
		var line struct {
			Error string `json:"error"`
		}
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the engine broke off: %w", err)
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}
