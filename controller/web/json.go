package web

import (
	"unsafe"

	"github.com/tidwall/gjson"
)

// parse reads valid JSON without a copy: values are parts of text, which nobody may
// change meanwhile. Records and arguments are never changed.
func parse(text []byte) gjson.Result {
	return gjson.Parse(unsafe.String(unsafe.SliceData(text), len(text)))
}

// bytesOf is the other way round: nobody may change the bytes.
func bytesOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// maxGrowth bounds how much longer indented JSON may be than it was. Without it, a
// megabyte of brackets would make gigabytes of spaces.
func maxGrowth(length int) int { return 8*length + 4096 }

// appendPretty appends valid JSON with line breaks and two spaces for each level,
// or as it is if that would make it much longer.
func appendPretty(dst []byte, json string) []byte {
	start, limit, depth := len(dst), len(dst)+maxGrowth(len(json)), 0
	for i := 0; i < len(json); i++ {
		if len(dst)+2*depth > limit {
			return append(dst[:start], json...)
		}
		switch c := json[i]; c {
		case ' ', '\t', '\r', '\n':
		case '"':
			end := stringEnd(json, i)
			dst = append(dst, json[i:end]...)
			i = end - 1
		case '{', '[':
			dst = append(dst, c)
			next := skipSpace(json, i+1)
			if next < len(json) && (json[next] == '}' || json[next] == ']') {
				dst = append(dst, json[next])
				i = next
				continue
			}
			depth++
			dst = appendLine(dst, depth)
		case '}', ']':
			depth = max(depth-1, 0)
			dst = append(appendLine(dst, depth), c)
		case ',':
			dst = appendLine(append(dst, ','), depth)
		case ':':
			dst = append(dst, ':', ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func appendLine(dst []byte, depth int) []byte {
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, ' ', ' ')
	}
	return dst
}

func skipSpace(json string, i int) int {
	for i < len(json) && (json[i] == ' ' || json[i] == '\t' || json[i] == '\r' || json[i] == '\n') {
		i++
	}
	return i
}

// stringEnd returns the index behind the string that begins at i.
func stringEnd(json string, i int) int {
	for i++; i < len(json); i++ {
		switch json[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(json)
}
