package docker

import (
	"bytes"
	"context"
	"fmt"
	"time"

	engine "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
	"go.uber.org/zap"
)

const (
	// logGrace is how long output takes at most from a program to here.
	logGrace = 200 * time.Millisecond
	// logRetry and maxLogRetry are the pauses before a broken stream is opened again.
	logRetry    = 50 * time.Millisecond
	maxLogRetry = 2 * time.Second
	// logOverlap is how far back a stream is opened again. Entries of one stream
	// are in order, but the two streams are stamped independently.
	logOverlap = time.Second
)

// followLogs reads the container's output into its framer until that ends.
func (c *Container) followLogs(id string) {
	c.logs = make(chan struct{})
	c.factory.running.Go(func() {
		defer close(c.logs)
		r := &logReader{container: c, id: id}
		r.run(c.ctx)
		c.framer.CloseStream(actionlog.Stdout)
		c.framer.CloseStream(actionlog.Stderr)
	})
}

// logReader reads the engine's log of a container, over as many connections as
// it takes.
type logReader struct {
	container *Container
	id        string
	// read is how far each stream was read, skip what of that comes again.
	read [2]position
	skip [2]position
}

// position is a place in a stream: behind count entries with the time stamp at.
type position struct {
	at    time.Time
	count int
}

func (r *logReader) run(ctx context.Context) {
	wait := logRetry
	for ctx.Err() == nil {
		before := r.read
		isWhole, err := r.once(ctx)
		switch {
		case isGone(err):
			return
		case isWhole && r.isOver(ctx):
			return
		case err != nil && ctx.Err() == nil:
			r.container.factory.log.Debug("reading a container's logs was interrupted", zap.String("container", r.id), zap.Error(err))
		}
		if r.read != before {
			wait = logRetry
		}
		pause(ctx, wait)
		wait = min(2*wait, maxLogRetry)
	}
}

// isOver: the container has ended, so that a stream which ended by itself had
// everything.
func (r *logReader) isOver(ctx context.Context) bool {
	isRunning, err := r.container.factory.isRunning(ctx, r.id)
	return err == nil && !isRunning
}

// once reads one connection to its end. It reports whether the engine ended it.
func (r *logReader) once(ctx context.Context) (isWhole bool, err error) {
	stream, err := r.container.factory.api.ContainerLogs(ctx, r.id, engine.LogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: true, Since: r.since(),
	})
	if err != nil {
		return false, err
	}
	defer func() { _ = stream.Close() }() // whatever was wrong, reading said it
	r.skip = r.read
	_, err = stdcopy.StdCopy(entries{r, actionlog.Stdout}, entries{r, actionlog.Stderr}, stream)
	return err == nil, err
}

// since is the time from which the log is wanted, "" for all of it.
func (r *logReader) since() string {
	at := r.read[0].at
	if r.read[1].at.After(at) {
		at = r.read[1].at
	}
	if at.IsZero() {
		return ""
	}
	at = at.Add(-logOverlap)
	for _, p := range r.read {
		if !p.at.IsZero() && p.at.Before(at) {
			at = p.at
		}
	}
	return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond())
}

// entries takes one stream of the log. Each Write is an entry of the engine: a
// time stamp, a space, and a line or a part of a long one.
type entries struct {
	reader *logReader
	stream actionlog.Stream
}

func (e entries) Write(p []byte) (int, error) {
	stamp, text, found := bytes.Cut(p, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil || !found {
		return 0, fmt.Errorf("an entry of the engine's log has no time stamp: %.40q", p)
	}
	if e.reader.advance(e.stream, at) {
		e.reader.container.framer.WriteAt(e.stream, text, at)
	}
	return len(p), nil
}

// advance notes an entry, and reports whether it is new.
func (r *logReader) advance(stream actionlog.Stream, at time.Time) bool {
	if skip := &r.skip[stream]; !skip.at.IsZero() {
		switch {
		case at.Before(skip.at):
			return false
		case at.Equal(skip.at) && skip.count > 0:
			skip.count--
			return false
		}
		*skip = position{} // from here on all is new
	}
	read := &r.read[stream]
	if at.Equal(read.at) {
		read.count++
	} else {
		*read = position{at: at, count: 1}
	}
	return true
}
