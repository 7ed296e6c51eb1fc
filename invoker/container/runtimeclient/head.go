package runtimeclient

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/runtimes"
)

// maxHead bounds an answer's status line and headers.
const maxHead = 64 << 10

// head is what matters of an answer's status line and headers.
type head struct {
	status    int
	length    int64
	keepAlive bool
	quiet     [2]bool // see container.Response
}

// quietHeader is runtimes.LogQuietHeader as equalFold wants it.
var quietHeader = strings.ToLower(runtimes.LogQuietHeader)

// readHead reads up to the body. Answers that are not complete or do not say
// their length are container.ErrNoResponse (openwhisk-invoker.md 1.2, 13.2).
func readHead(r *bufio.Reader) (head, error) {
	read := 0
	for {
		h, err := readOneHead(r, &read)
		if err != nil || h.status >= 200 {
			return h, err
		}
		// 1xx announces another one.
	}
}

func readOneHead(r *bufio.Reader, read *int) (head, error) {
	line, err := readLine(r, read)
	if err != nil {
		return head{}, err
	}
	h, err := parseStatus(line)
	if err != nil {
		return head{}, err
	}
	for {
		line, err := readLine(r, read)
		if err != nil {
			return head{}, err
		}
		if len(line) == 0 {
			break
		}
		if err := h.addField(line); err != nil {
			return head{}, err
		}
	}
	if h.status >= 200 && h.length < 0 {
		return head{}, malformed("an answer of unknown length")
	}
	return h, nil
}

// readLine returns the next line without its ending; it is valid until the next
// read. Lines longer than the buffer are refused.
func readLine(r *bufio.Reader, read *int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, malformed("a header line of more than %d bytes", len(line))
	}
	if err != nil {
		return nil, err
	}
	if *read += len(line); *read > maxHead {
		return nil, malformed("headers of more than %d bytes", maxHead)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// parseStatus reads "HTTP/1.1 200 OK".
func parseStatus(line []byte) (head, error) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	if !bytes.Equal(version, []byte("HTTP/1.1")) && !bytes.Equal(version, []byte("HTTP/1.0")) {
		return head{}, malformed("%.40q is not HTTP", line)
	}
	code, _, _ := bytes.Cut(rest, []byte(" "))
	status, ok := digits(code)
	if !ok || len(code) != 3 || status < 100 || status == 101 {
		return head{}, malformed("%.40q is no status line", line)
	}
	return head{status: int(status), length: -1, keepAlive: version[len(version)-1] == '1'}, nil
}

// addField notes what a header line says.
func (h *head) addField(line []byte) error {
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found {
		return malformed("%.40q is no header", line)
	}
	value = bytes.TrimSpace(value)
	switch {
	case equalFold(name, "content-length"):
		n, ok := digits(value)
		if !ok || (h.length >= 0 && h.length != n) {
			return malformed("%.40q is no length", value)
		}
		h.length = n
	case equalFold(name, "transfer-encoding"):
		return malformed("an answer of unknown length (transfer encoding %.20q)", value)
	case equalFold(name, quietHeader):
		h.quiet[0] = bytes.Contains(value, []byte("stdout"))
		h.quiet[1] = bytes.Contains(value, []byte("stderr"))
	case equalFold(name, "connection"):
		if equalFold(value, "close") {
			h.keepAlive = false
		}
	}
	return nil
}

// equalFold is bytes.EqualFold for a lower-case ASCII want, without converting.
func equalFold(have []byte, want string) bool {
	if len(have) != len(want) {
		return false
	}
	for i, c := range have {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// digits reads a decimal number of at most 18 digits.
func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", container.ErrNoResponse, fmt.Sprintf(format, args...))
}
