package web

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedia(t *testing.T) {
	const text, bytes, family = "text", "bytes", "JSON"
	for header, want := range map[string]string{
		"text/plain": text, "text/html": text, "TEXT/HTML": text, "text/css": text, "text/csv; header=present": text, "text/x-own": text,
		"application/xml": text, "application/javascript": text, "application/xhtml+xml": text, "application/x-www-form-urlencoded": text,
		"application/json": family, "application/json; charset=utf-8": family, "application/problem+json": family, "Application/LD+JSON": family,
		"image/png": bytes, "image/svg+xml": bytes, "image/png; charset=utf-8": bytes, "audio/ogg": bytes, "video/mp4": bytes, "font/woff2": bytes,
		"application/octet-stream": bytes, "application/octet-stream; charset=utf-8": bytes, "application/zip": bytes, "application/pdf": bytes,
		"multipart/form-data; boundary=x": bytes, "application/x-own": bytes, "application/x-own; charset=utf-8": text, "x/y;CHARSET=x": text,
	} {
		m, ok := parseMedia(header)
		require.True(t, ok, header)
		got := bytes
		if m.isText() {
			got = text
		}
		if m.isJSON() {
			require.Equal(t, text, got, "JSON is text: %s", header)
			got = family
		}
		require.Equal(t, want, got, header)
	}
	for _, header := range []string{"", "xyzbar", "text/", "/html", "text/html/x", "text html", "*/*", "text/*", "text/html; charset", "text/html; a=\"\r\n\"", "a/b, c/d"} {
		_, ok := parseMedia(header)
		require.False(t, ok, header)
	}
}
