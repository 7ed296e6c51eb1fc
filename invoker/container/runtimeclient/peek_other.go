//go:build !unix

package runtimeclient

// isOpen reports whether an idle connection can take a request, as far as can
// be seen without reading from it.
func (k *conn) isOpen() bool { return k.reader.Buffered() == 0 }
