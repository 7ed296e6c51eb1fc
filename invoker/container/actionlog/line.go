package actionlog

import (
	"fmt"
	"strings"
	"time"
)

// timeLayout always prints nine fraction digits: 30 characters, which fill the
// column of the record exactly (openwhisk-invoker.md 3.3).
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// line is one printed line that waits to be collected.
type line struct {
	sequence uint64 // order of arrival over both streams
	nanos    int64  // when it arrived, Unix time
	stream   Stream
	text     string
}

// overhead is what the record's form adds to a line's text, and its newline.
const overhead = len(timeLayout) + len(" stdout: ") + len("\n")

// size is what the line counts against the log limit: its length in the
// record, newline included. Empty lines count too, so the limit bounds memory.
func (l line) size() int64 { return int64(len(l.text) + overhead) }

// format returns the line as the record has it (openwhisk-rest-api.md 10.2).
func (l line) format() string {
	return Format(time.Unix(0, l.nanos), l.stream, l.text)
}

// Format returns a line in the record's form: the time in UTC, left-justified
// in 30 columns, the stream's label and the text (openwhisk-rest-api.md 10.2).
func Format(at time.Time, stream Stream, text string) string {
	var b strings.Builder
	b.Grow(len(text) + overhead)
	var stamp [len(timeLayout)]byte
	b.Write(at.UTC().AppendFormat(stamp[:0], timeLayout))
	b.WriteByte(' ')
	b.WriteString(stream.String())
	b.WriteString(": ")
	b.WriteString(text)
	return b.String()
}

// TruncatedNotice is the text of the line that ends logs which exceeded their
// limit, in bytes (openwhisk-invoker.md 3.2).
func TruncatedNotice(limit int64) string {
	return fmt.Sprintf("Logs were truncated because the total bytes size exceeds the limit of %d bytes.", limit)
}

// IncompleteNotice is the text of the line that ends logs whose sentinels did
// not arrive (openwhisk-invoker.md 3.2).
const IncompleteNotice = "There was an issue while collecting your logs. Data might be missing."
