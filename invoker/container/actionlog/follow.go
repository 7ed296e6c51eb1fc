package actionlog

import (
	"io"
	"sync"
)

// chunk is how much is read from a pipe at once.
const chunk = 16 << 10

// Follower reads a container's two streams into a Framer.
type Follower struct {
	stdout, stderr io.ReadCloser
	readers        sync.WaitGroup
	closing        sync.Once
}

// Follow starts a reader for each stream. They always drain their stream, so
// that a program never blocks on a full pipe, and end at its end or at Close.
func Follow(f *Framer, stdout, stderr io.ReadCloser) *Follower {
	w := &Follower{stdout: stdout, stderr: stderr}
	w.readers.Go(func() { drain(f, Stdout, stdout) })
	w.readers.Go(func() { drain(f, Stderr, stderr) })
	return w
}

// Close closes the streams and returns when the readers have ended.
func (w *Follower) Close() {
	w.closing.Do(func() {
		// An error would be about a pipe that nobody reads any more.
		_ = w.stdout.Close()
		_ = w.stderr.Close()
	})
	w.readers.Wait()
}

// drain reads a stream to its end.
func drain(f *Framer, stream Stream, r io.Reader) {
	defer f.CloseStream(stream)
	buffer := make([]byte, chunk)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			f.Write(stream, buffer[:n])
		}
		if err != nil {
			return
		}
	}
}
