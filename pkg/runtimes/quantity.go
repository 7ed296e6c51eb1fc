package runtimes

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

var quantity = regexp.MustCompile(`^\s*([0-9]+)\s*([A-Za-zµ]+)\s*$`)

// durationUnits are the units that OpenWhisk's configuration knows and that make
// sense for the life of a container.
var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "milli": time.Millisecond, "millis": time.Millisecond,
	"millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

// parseMemory reads sizes as OpenWhisk writes them, "256 MB", "256m", "1 GB".
func parseMemory(text string) (entity.Megabytes, error) {
	count, unit, ok := splitQuantity(text)
	if !ok {
		return 0, fmt.Errorf("%q is not a size; write a whole number and B, KB, MB or GB, such as \"256 MB\"", text)
	}
	var shift uint
	switch strings.ToLower(unit) {
	case "b":
	case "k", "kb":
		shift = 10
	case "m", "mb":
		shift = 20
	case "g", "gb":
		shift = 30
	default:
		return 0, fmt.Errorf("%q is not a size: the unit %q is none of B, KB, MB, GB", text, unit)
	}
	if count > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is too large a size", text)
	}
	bytes := count << shift
	if bytes == 0 || bytes%(1<<20) != 0 {
		return 0, fmt.Errorf("%q is not a whole number of megabytes, at least one", text)
	}
	return entity.Megabytes(bytes >> 20), nil
}

// parseDuration reads durations as OpenWhisk writes them, "2 minutes", and as Go
// does, "2m30s".
func parseDuration(text string) (time.Duration, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, nil
	}
	count, unit, ok := splitQuantity(text)
	if !ok {
		return 0, fmt.Errorf("%q is not a duration; write a whole number and a unit, such as \"2 minutes\"", text)
	}
	one, known := durationUnits[strings.ToLower(unit)]
	if !known {
		return 0, fmt.Errorf("%q is not a duration: the unit %q is none of milliseconds, seconds, minutes, hours, days", text, unit)
	}
	if count > math.MaxInt64/int64(one) {
		return 0, fmt.Errorf("%q is too long a duration", text)
	}
	return time.Duration(count) * one, nil
}

func splitQuantity(text string) (count int64, unit string, ok bool) {
	match := quantity.FindStringSubmatch(text)
	if match == nil {
		return 0, "", false
	}
	count, err := strconv.ParseInt(match[1], 10, 64)
	return count, match[2], err == nil
}
