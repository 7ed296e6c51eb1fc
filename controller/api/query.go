package api

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// query is a URL's query as it was sent. Requests have few parameters and look at
// fewer, so it is searched instead of parsed.
type query string

// Get returns the first value of a parameter, "" if there is none. A value that
// cannot be decoded is returned as it is.
func (q query) Get(name string) string {
	for len(q) > 0 {
		pair, rest, _ := strings.Cut(string(q), "&")
		q = query(rest)
		key, value, _ := strings.Cut(pair, "=")
		if key == name || decoded(key) == name {
			return decoded(value)
		}
	}
	return ""
}

func decoded(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// queryBool reads a boolean; an absent or empty one is fallback
// (openwhisk-rest-api.md 1.7).
func queryBool(q query, name string, fallback bool) (bool, error) {
	v := q.Get(name)
	switch strings.ToLower(v) {
	case "":
		return fallback, nil
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, badQuery(name, "'"+v+"' is not a valid Boolean value")
}

// page is the part of a list that a client asks for.
type page struct {
	skip, limit int
	count       bool
}

// parsePage reads skip, limit and count; a limit of 0 is the most there may be.
func (a *API) parsePage(q query, collection entitle.Collection) (p page, err error) {
	p.limit = a.cfg.ListDefault
	if v := q.Get("limit"); v != "" {
		if p.limit, err = queryInt("limit", v, collection); err != nil {
			return p, err
		}
		if p.limit < 0 || p.limit > a.cfg.ListMax {
			return p, badQuery("limit", fmt.Sprintf("The value '%s' is not in the range of 0 to %d for %s.", v, a.cfg.ListMax, collection))
		}
		if p.limit == 0 {
			p.limit = a.cfg.ListMax
		}
	}
	if v := q.Get("skip"); v != "" {
		if p.skip, err = queryInt("skip", v, collection); err != nil {
			return p, err
		}
		if p.skip < 0 {
			return p, badQuery("skip", fmt.Sprintf("The value '%s' is not greater than or equal to 0 for %s.", v, collection))
		}
	}
	p.count, err = queryBool(q, "count", false)
	return p, err
}

func queryInt(name, v string, collection entitle.Collection) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0, badQuery(name, fmt.Sprintf("The value '%s' is not an integer for %s.", v, collection))
	}
	return n, nil
}

// queryTime reads milliseconds since the epoch. The text says seconds; that is
// part of the contract (openwhisk-rest-api.md 17.1).
func queryTime(q query, name string) (*int64, error) {
	v := q.Get(name)
	if v == "" {
		return nil, nil
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, badQuery(name, "Parameter is not a valid value for epoch seconds: "+v)
	}
	return &ms, nil
}

// queryActivationName reads the filter "action" or "package/action".
func queryActivationName(q query) (string, error) {
	v := q.Get("name")
	if v == "" {
		return "", nil
	}
	segments := strings.Split(v, "/")
	ok := len(segments) <= 2
	for _, s := range segments {
		_, err := entity.ParseName(s)
		ok = ok && err == nil
	}
	if !ok {
		return "", badQuery("name", "Parameter may be a 'simple' name or 'package-name/simple' name: "+v)
	}
	return v, nil
}

// queryWait reads how long a blocking invocation waits.
func (a *API) queryWait(q query) (time.Duration, error) {
	v := q.Get("timeout")
	if v == "" {
		return a.cfg.MaxWait, nil
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil || ms < 1 || ms > a.cfg.MaxWait.Milliseconds() {
		return 0, badQuery("timeout", fmt.Sprintf("Timeout must be number of milliseconds up to %d.", a.cfg.MaxWait.Milliseconds()))
	}
	return time.Duration(ms) * time.Millisecond, nil
}
