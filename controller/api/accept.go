package api

import (
	"strconv"
	"strings"
)

// negotiate returns the 406 if the client does not accept JSON.
func (x *Exchange) negotiate() error {
	if !Accepts(x.Request().Header["Accept"], "application/json") {
		return NotAcceptable("application/json")
	}
	return nil
}

// Accepts reports whether the values of a request's Accept header allow an answer
// of the media type, which is in lower case and without parameters. Of the ranges
// that it is in the most specific one decides (RFC 9110 section 12.5.1).
func Accepts(accept []string, media string) bool {
	specific, allowed := -1, true
	for _, header := range accept {
		for r := range strings.SplitSeq(header, ",") {
			name, parameters, _ := strings.Cut(r, ";")
			name = strings.TrimSpace(name)
			if name == "" {
				continue
			}
			allowed = allowed && specific >= 0 // there are ranges: it has to be in one
			if s := specificity(name, media); s > specific {
				specific, allowed = s, quality(parameters) > 0
			} else if s >= 0 && s == specific {
				allowed = allowed || quality(parameters) > 0
			}
		}
	}
	return allowed
}

// specificity says how exactly a media range means the media type; -1 is not at all.
func specificity(name, media string) int {
	if name == "*/*" {
		return 0
	}
	if strings.EqualFold(name, media) {
		return 2
	}
	if kind, found := strings.CutSuffix(name, "/*"); found {
		if own, _, _ := strings.Cut(media, "/"); strings.EqualFold(kind, own) {
			return 1
		}
	}
	return -1
}

// quality returns the weight of a media range; an unreadable one counts as 1.
func quality(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(value, 64); err == nil {
				return q
			}
		}
	}
	return 1
}
