package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// cloudEvent is a CloudEvent 1.0, in either mode of its HTTP binding.
type cloudEvent struct {
	id, source, kind string
	// inBody: the attributes are part of the body, in the structured mode.
	inBody bool
	// json is the event in the JSON format: attributes, and data or data_base64.
	json json.RawMessage
}

const cloudEventPrefix = "Ce-"

// parseCloudEvent returns nil if r is no CloudEvent. Its errors are for the client.
func parseCloudEvent(r *Request) (*cloudEvent, error) {
	contentType := r.Header.Get("Content-Type")
	media, _, _ := mime.ParseMediaType(contentType)
	switch {
	case media == "application/cloudevents+json":
		return structured(r.Body)
	case strings.HasPrefix(media, "application/cloudevents"): // batches and other formats
		return nil, api.DeliveryType("Content-Type", contentType)
	case r.Header.Get(cloudEventPrefix+"Specversion") != "":
		return binary(r, media)
	}
	return nil, nil
}

// structured: the body is the event.
func structured(body []byte) (*cloudEvent, error) {
	if err := invoke.ValidObject(body); err != nil {
		return nil, &entity.MalformedError{Detail: err.Error()}
	}
	attribute := func(name string) string {
		if v := gjson.GetBytes(body, name); v.Type == gjson.String {
			return v.String()
		}
		return ""
	}
	e, err := checkedEvent(attribute, entity.Compact(bytes.TrimSpace(body)))
	if err == nil {
		e.inBody = true
	}
	return e, err
}

// checkedEvent checks the attributes that every event has.
func checkedEvent(attribute func(name string) string, event json.RawMessage) (*cloudEvent, error) {
	if v := attribute("specversion"); v != "1.0" {
		return nil, &entity.MalformedError{Detail: "CloudEvents of version 1.0 are supported, not of " + label(v)}
	}
	e := &cloudEvent{id: attribute("id"), source: attribute("source"), kind: attribute("type"), json: event}
	if e.id == "" || e.source == "" || e.kind == "" {
		return nil, &entity.MalformedError{Detail: "the CloudEvent lacks id, source or type"}
	}
	return e, nil
}

// binary: headers are the attributes, percent-encoded, and the body is the data.
func binary(r *Request, media string) (*cloudEvent, error) {
	attributes := map[string]string{}
	var names []string
	for header := range r.Header {
		name, ok := strings.CutPrefix(header, cloudEventPrefix)
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		if name == "data" || name == "data_base64" || name == "datacontenttype" {
			return nil, &entity.MalformedError{Detail: "the CloudEvent has a header ce-" + name}
		}
		value := r.Header.Get(header)
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		attributes[name] = value
		names = append(names, name)
	}
	slices.Sort(names)
	var out []byte
	for _, name := range names {
		out = appendEntry(out, name, attributes[name])
	}
	if contentType := r.Header.Get("Content-Type"); contentType != "" {
		out = appendEntry(out, "datacontenttype", contentType)
	}
	out, err := appendData(out, media, r.Body)
	if err != nil {
		return nil, err
	}
	return checkedEvent(func(name string) string { return attributes[name] }, append(out, '}'))
}

func appendEntry(dst []byte, name, value string) []byte {
	return entity.AppendString(appendKey(dst, name), value)
}

// appendKey begins the next entry of an object, the first one too.
func appendKey(dst []byte, name string) []byte {
	separator := byte(',')
	if len(dst) == 0 {
		separator = '{'
	}
	return append(entity.AppendString(append(dst, separator), name), ':')
}

// appendData: JSON as it is, text as a string, everything else in base64.
func appendData(dst []byte, media string, body []byte) ([]byte, error) {
	switch {
	case len(body) == 0:
		return dst, nil
	case isJSON(media) || media == "":
		value, err := jsonValue(body)
		if err != nil {
			return nil, err
		}
		return append(appendKey(dst, "data"), value...), nil
	case isText(media) && utf8.Valid(body):
		return entity.AppendString(appendKey(dst, "data"), body), nil
	}
	dst = append(appendKey(dst, "data_base64"), '"')
	return append(base64.StdEncoding.AppendEncode(dst, body), '"'), nil
}
