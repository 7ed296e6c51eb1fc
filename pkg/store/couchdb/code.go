package couchdb

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// maxInline is how long code may be that is written into the name of its attachment
// (openwhisk-invoker.md 6.5).
const maxInline = 16 << 10

const (
	textType   = "text/plain; charset=UTF-8"
	binaryType = "application/octet-stream"

	inlineScheme   = "mem:"
	attachedScheme = "couch:"
)

// code is an action's code as a document has it: a reference, and what is attached.
type code struct {
	reference json.RawMessage
	// attachments is the value of _attachments, nil if there are none.
	attachments json.RawMessage
}

// encodeCode makes the form in which code is stored: decoded if it is base64 that
// encoding gives back to the letter, for clients compare what they read with what they
// sent.
func encodeCode(text string) (code, error) {
	content, mime := []byte(text), textType
	if entity.IsBinary(text) {
		decoded, err := base64.StdEncoding.Strict().DecodeString(text)
		if err == nil && base64.StdEncoding.EncodeToString(decoded) == text {
			content, mime = decoded, binaryType
		}
	}
	reference := map[string]any{"attachmentType": mime}
	var c code
	var err error
	if len(content) < maxInline {
		sum := sha256.Sum256(content)
		reference["attachmentName"] = inlineScheme + base64.URLEncoding.EncodeToString(content)
		reference["length"], reference["digest"] = len(content), "sha256-"+hex.EncodeToString(sum[:])
	} else {
		id := uuid.NewString()
		reference["attachmentName"], reference["length"] = attachedScheme+id, len(content)
		c.attachments, err = json.Marshal(map[string]any{id: map[string]any{"content_type": mime, "data": content}})
		if err != nil {
			return c, err
		}
	}
	c.reference, err = json.Marshal(reference)
	return c, err
}

// storedCode is the code of a stored document, with what keeps it attached.
func storedCode(document []byte) (code, error) {
	c := code{}
	if r := storedReference(document); r.Exists() {
		c.reference = json.RawMessage(r.Raw)
	}
	var h header
	if err := json.Unmarshal(document, &h); err != nil {
		return c, err
	}
	if len(h.Attachments) == 0 {
		return c, nil
	}
	// A stub without its data means: keep it.
	var err error
	c.attachments, err = json.Marshal(h.Attachments)
	return c, err
}

// storedReference is exec.code of a document, or what Java's actions had long ago.
func storedReference(document []byte) gjson.Result {
	exec := gjson.GetBytes(document, "exec")
	if c := exec.Get("code"); c.Exists() {
		return c
	}
	return exec.Get("jar")
}

// place is where the code of a document is.
type place struct {
	text string // if it is here
	// attachment is its name otherwise.
	attachment string
	isBinary   bool
}

// locateCode reads exec.code: a reference, or the text itself as older documents have it.
func locateCode(document []byte) (place, error) {
	c := storedReference(document)
	switch {
	case !c.Exists() || c.Type == gjson.Null:
		return place{}, nil
	case c.Type == gjson.String:
		return place{text: c.String()}, nil
	case !c.IsObject():
		return place{}, fmt.Errorf("%w: its code is neither a text nor an attachment", entity.ErrUnreadable)
	}
	name, mime := c.Get("attachmentName").String(), c.Get("attachmentType").String()
	p := place{isBinary: !strings.HasPrefix(mime, "text/")}
	if encoded, ok := strings.CutPrefix(name, inlineScheme); ok {
		content, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil {
			return place{}, fmt.Errorf("%w: its inline code: %w", entity.ErrUnreadable, err)
		}
		p.text = p.asText(content)
		return p, nil
	}
	scheme, id, hasScheme := strings.Cut(name, ":")
	switch {
	case !hasScheme:
		p.attachment = name // as documents had it before there were schemes
	case scheme+":" == attachedScheme:
		p.attachment = id
	default:
		return place{}, fmt.Errorf("%w: its code is in a store of the kind %q, which is not CouchDB; copy it with the tools of that store", entity.ErrUnreadable, scheme)
	}
	return p, nil
}

// asText is the code as clients send and read it.
func (p place) asText(content []byte) string {
	if p.isBinary {
		return base64.StdEncoding.EncodeToString(content)
	}
	return string(content)
}

// withAttachments adds _attachments to a document.
func withAttachments(document []byte, attachments json.RawMessage) []byte {
	if attachments == nil {
		return document
	}
	document = append(bytes.TrimSuffix(bytes.TrimSpace(document), []byte{'}'}), `,"_attachments":`...)
	return append(append(document, attachments...), '}')
}
