package web

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/gowhisk/gowhisk/controller/api"
)

// buffers are for what is written in pieces, or made longer. Big ones are left to
// the collector.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, chunk); return &b }}

const (
	chunk           = 24 << 10 // of decoded base64: a multiple of 3
	maxPooledBuffer = 64 << 10
)

// write sends the answer, or returns the 406 if the client does not accept it.
func (a *answer) write(x *api.Exchange) error {
	r := x.Request()
	if a.contentType != "" && !api.Accepts(r.Header["Accept"], a.media) {
		return api.NotAcceptable(a.contentType)
	}
	h := x.Header()
	a.fillHeader(h)
	if a.contentType == "" || !hasEntity(a.status) {
		x.Writer().WriteHeader(a.status)
		return nil
	}
	h["Content-Type"] = []string{a.contentType}
	// What fails from here on is a client that has gone; nobody is left to tell.
	_ = a.send(h, x.Writer(), r.Method == http.MethodHead)
	return nil
}

// hasEntity: an answer of this status may have one (RFC 9110 sections 15.3.5, 15.4.5).
func hasEntity(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// fillHeader replaces what the server has set by the action's headers.
func (a *answer) fillHeader(h http.Header) {
	for _, f := range a.header {
		delete(h, f.name)
	}
	for _, f := range a.header {
		h[f.name] = append(h[f.name], f.value)
	}
}

func (a *answer) send(h http.Header, w http.ResponseWriter, onlyHead bool) error {
	if a.encoding == asPrettyJSON {
		b := buffers.Get().(*[]byte)
		text := appendPretty((*b)[:0], a.content)
		begin(h, w, a.status, len(text))
		var err error
		if !onlyHead {
			_, err = w.Write(text)
		}
		if cap(text) <= maxPooledBuffer {
			*b = text[:0]
			buffers.Put(b)
		}
		return err
	}
	length := len(a.content)
	if a.encoding == fromBase64 {
		length = base64.RawStdEncoding.DecodedLen(length)
	}
	begin(h, w, a.status, length)
	switch {
	case onlyHead:
		return nil
	case a.encoding == fromBase64:
		return decodeTo(w, a.content)
	}
	_, err := io.WriteString(w, a.content)
	return err
}

// begin sends status and headers of an entity that is length bytes long.
func begin(h http.Header, w http.ResponseWriter, status, length int) {
	h["Content-Length"] = []string{strconv.Itoa(length)}
	w.WriteHeader(status)
}

// decodeTo writes what valid base64 without padding stands for.
func decodeTo(w io.Writer, text string) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	const step = chunk / 3 * 4
	for len(text) > 0 {
		part := text[:min(step, len(text))]
		text = text[len(part):]
		decoded, err := base64.RawStdEncoding.AppendDecode((*b)[:0], bytesOf(part))
		if err != nil {
			return err
		}
		if _, err := w.Write(decoded); err != nil {
			return err
		}
	}
	return nil
}
