package actionlog

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// maxFrames bounds the activations whose ends wait to be collected. Sentinels
// beyond it are ignored: nobody is collecting.
const maxFrames = 1024

// Framer cuts two output streams into the logs of activations. Its methods are
// safe for concurrent use, but that one Collect runs at a time, and one Write
// per stream.
type Framer struct {
	limit int64
	grace time.Duration

	// changed holds a token when something happened since Collect last looked.
	changed chan struct{}

	mu       sync.Mutex // guards what follows
	sequence uint64
	stored   int64 // bytes of all lines held
	streams  [2]streamState
}

// streamState is what arrived on one stream and was not collected.
type streamState struct {
	ended   []frame // complete: a sentinel ended them
	current frame
	partial lineBuffer
	closed  bool
}

// New returns a Framer that holds at most limit bytes of lines, by their length
// in the record, beside one unfinished line per stream of at most that length.
// Activations end at Sentinel followed by mark. A mark that the runtime knows and
// its user code does not keeps actions from ending their logs early; runtimes
// that others made know none.
func New(limit int64, mark string) *Framer {
	f := &Framer{limit: limit, grace: Grace, changed: make(chan struct{}, 1)}
	for i := range f.streams {
		f.streams[i].partial.sentinel = []byte(Sentinel + mark)
	}
	return f
}

// SetGrace replaces Grace where output takes longer to arrive. It is called before
// anything else.
func (f *Framer) SetGrace(d time.Duration) { f.grace = d }

// Write takes what was printed on a stream. It never blocks.
func (f *Framer) Write(stream Stream, p []byte) {
	f.write(stream, p, time.Now().UnixNano())
}

// WriteAt is Write for bytes that were printed at the given time.
func (f *Framer) WriteAt(stream Stream, p []byte, at time.Time) {
	f.write(stream, p, at.UnixNano())
}

func (f *Framer) write(stream Stream, p []byte, nanos int64) {
	f.mu.Lock()
	s := &f.streams[stream]
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.partial.add(p, f.room())
			break
		}
		s.partial.add(p[:i], f.room())
		f.endLine(stream, nanos)
		p = p[i+1:]
	}
	f.mu.Unlock()
	f.signal()
}

// CloseStream says that a stream has ended. An unfinished line becomes a line.
func (f *Framer) CloseStream(stream Stream) {
	f.mu.Lock()
	s := &f.streams[stream]
	if len(s.partial.held) > 0 {
		f.endLine(stream, time.Now().UnixNano())
	}
	s.closed = true
	f.mu.Unlock()
	f.signal()
}

// Begin says that an activation starts and all earlier ones were collected:
// sentinels that were not asked for lose their meaning. Containers that run one
// activation at a time call it before each run.
func (f *Framer) Begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.streams {
		s := &f.streams[i]
		if len(s.ended) == 0 {
			continue
		}
		merged := frame{}
		for _, e := range s.ended {
			merged.append(e)
		}
		merged.append(s.current)
		s.ended, s.current = nil, merged
	}
}

// EndQuiet says that an activation has ended that printed nothing on a stream, and
// whose sentinel does not come.
func (f *Framer) EndQuiet(stream Stream) {
	f.mu.Lock()
	if s := &f.streams[stream]; len(s.ended) < maxFrames {
		// What has come of the stream is of processes that the activation left.
		s.ended = append(s.ended, frame{})
	}
	f.mu.Unlock()
	f.signal()
}

// Collect returns the lines of the oldest activation that was not collected
// yet. It waits for its sentinels if the query says so, at most
// container.LogPatience in all and Idle after the last output. Otherwise it
// takes everything that was printed, after a grace that lets the readers catch
// up with a runtime that has just failed (openwhisk-invoker.md 3.2). With a
// limit of zero it returns no lines, but still takes them.
func (f *Framer) Collect(ctx context.Context, q container.LogQuery) container.Logs {
	complete := true
	if q.WaitForSentinel {
		complete = f.await(ctx, container.LogPatience(q.Limit))
	} else {
		f.await(ctx, f.grace)
	}
	f.mu.Lock()
	var out, err frame
	if q.WaitForSentinel {
		out, err = f.streams[Stdout].takeFrame(), f.streams[Stderr].takeFrame()
	} else {
		f.endPartials()
		out, err = f.streams[Stdout].takeAll(), f.streams[Stderr].takeAll()
	}
	f.stored -= out.bytes + err.bytes
	f.mu.Unlock()
	if q.Limit <= 0 {
		return container.Logs{}
	}
	return f.render(out, err, q.Limit.Bytes(), complete)
}

// room returns how many more bytes of text a line may have to be kept.
func (f *Framer) room() int64 { return max(f.limit-f.stored-int64(overhead), 0) }

// endLine files the finished line of a stream. Callers hold f.mu.
func (f *Framer) endLine(stream Stream, nanos int64) {
	s := &f.streams[stream]
	text, sentinel, isLine, overflow := s.partial.take()
	if isLine {
		f.sequence++
		l := line{sequence: f.sequence, nanos: nanos, stream: stream, text: text}
		switch {
		case s.current.cut != 0:
		case overflow || f.stored+l.size() > f.limit:
			s.current.cut = l.sequence
		default:
			s.current.lines = append(s.current.lines, l)
			s.current.bytes += l.size()
			f.stored += l.size()
		}
	}
	if sentinel && len(s.ended) < maxFrames {
		s.ended = append(s.ended, s.current)
		s.current = frame{}
	}
}

// endPartials makes lines of what was printed without a newline, but for what
// may become a sentinel. Callers hold f.mu.
func (f *Framer) endPartials() {
	for stream := range f.streams {
		partial := &f.streams[stream].partial
		if len(partial.held) > 0 && !partial.mayBeSentinel() {
			f.endLine(Stream(stream), time.Now().UnixNano())
		}
	}
}

// signal wakes a waiting Collect.
func (f *Framer) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// await waits until both streams have reached a sentinel and reports whether
// they have.
func (f *Framer) await(ctx context.Context, patience time.Duration) bool {
	if ready, over := f.arrived(); ready || over {
		return ready
	}
	total := time.NewTimer(patience)
	defer total.Stop()
	idle := time.NewTimer(Idle)
	defer idle.Stop()
	for {
		select {
		case <-f.changed:
			idle.Reset(Idle)
		case <-idle.C:
			ready, _ := f.arrived()
			return ready
		case <-total.C:
			return false
		case <-ctx.Done():
			return false
		}
		if ready, over := f.arrived(); ready || over {
			return ready
		}
	}
}

// arrived reports whether both streams have a complete frame, and whether one
// that is missing can no longer come.
func (f *Framer) arrived() (ready, over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ready = true
	for i := range f.streams {
		s := &f.streams[i]
		if len(s.ended) == 0 {
			ready = false
			over = over || s.closed
		}
	}
	return ready, over
}

// takeFrame removes the oldest complete frame or, if there is none, what came.
func (s *streamState) takeFrame() frame {
	if len(s.ended) == 0 {
		return s.takeAll()
	}
	oldest := s.ended[0]
	s.ended = slices.Delete(s.ended, 0, 1)
	return oldest
}

// takeAll removes everything.
func (s *streamState) takeAll() frame {
	all := frame{}
	for _, e := range s.ended {
		all.append(e)
	}
	all.append(s.current)
	s.ended, s.current = nil, frame{}
	return all
}

// render merges two frames in order of arrival and applies the limit. A line
// that crosses the limit is dropped with all that follow.
func (f *Framer) render(out, err frame, limit int64, complete bool) container.Logs {
	merged := merge(out.lines, err.lines)
	cut := earlier(out.cut, err.cut)
	logs := container.Logs{Lines: make([]string, 0, len(merged)+1), Incomplete: !complete}
	var used int64
	for _, l := range merged {
		used += l.size()
		if used > limit || (cut != 0 && l.sequence > cut) {
			cut = l.sequence
			break
		}
		logs.Lines = append(logs.Lines, l.format())
	}
	switch {
	case cut != 0:
		logs.Truncated, logs.Incomplete = true, false
		logs.Lines = append(logs.Lines, Format(time.Now(), Stderr, TruncatedNotice(limit)))
	case !complete:
		logs.Lines = append(logs.Lines, Format(time.Now(), Stderr, IncompleteNotice))
	}
	return logs
}

// merge returns the lines of both streams by sequence.
func merge(a, b []line) []line {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	merged := make([]line, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].sequence < b[0].sequence {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}
