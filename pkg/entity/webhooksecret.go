package entity

import (
	"bytes"
	"encoding/json"
)

// WebhookMask stands for a secret of the annotation webhook wherever a client sees
// it. Sent back it means the secret that is stored.
const WebhookMask = "********"

// MapWebhookSecrets returns annotations with every secret of the annotation webhook
// replaced by what f makes of it; annotations is not changed. It is the one place
// that knows where the secrets are. Its errors are f's.
func MapWebhookSecrets(annotations Parameters, f func(secret string) (string, error)) (Parameters, error) {
	for _, a := range annotations {
		if a.Key != WebhookAnnotation {
			continue
		}
		value, err := mapSecrets(a.Value, f)
		if err != nil {
			return nil, err
		}
		a.Value = value
		return annotations.With(a), nil
	}
	return annotations, nil
}

// mapSecrets copies everything else as it is spelled.
func mapSecrets(value json.RawMessage, f func(string) (string, error)) (json.RawMessage, error) {
	if !bytes.HasPrefix(value, []byte("{")) {
		return value, nil // holds nothing that is used
	}
	out := make([]byte, 0, len(value)+16)
	err := eachField(value, func(key string, raw json.RawMessage) (err error) {
		separator := byte(',')
		if len(out) == 0 {
			separator = '{'
		}
		out = append(AppendString(append(out, separator), key), ':')
		switch key {
		case "secret", "password", "token":
			out, err = appendMapped(out, raw, f)
		case "secrets", "passwords", "tokens":
			out, err = appendMappedList(out, raw, f)
		default:
			out = append(out, raw...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return value, nil
	}
	return append(out, '}'), nil
}

// appendMapped takes what is no string, which ParseWebhook refuses, by its text.
func appendMapped(dst []byte, raw json.RawMessage, f func(string) (string, error)) ([]byte, error) {
	secret, ok := asString(raw)
	if !ok {
		secret = string(raw)
	}
	mapped, err := f(secret)
	return AppendString(dst, mapped), err
}

func appendMappedList(dst []byte, raw json.RawMessage, f func(string) (string, error)) (_ []byte, err error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return appendMapped(dst, raw, f)
	}
	dst = append(dst, '[')
	for i, one := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendMapped(dst, one, f); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// masked returns the header as clients see it: without the webhook's secrets.
func (t *Trigger) masked() *Header {
	h := t.Header
	a, ok := h.Annotations.entry(WebhookAnnotation)
	if !ok {
		return &h
	}
	shown, err := MapWebhookSecrets(h.Annotations, func(string) (string, error) { return WebhookMask, nil })
	if err != nil || a.Encryption != "" { // not to be taken apart
		shown = h.Annotations.With(Parameter{Key: WebhookAnnotation, Value: json.RawMessage(maskedAnnotation)})
	}
	h.Annotations = shown
	return &h
}

// maskedAnnotation is shown, and means what is stored, where the annotation as a
// whole is encrypted.
const maskedAnnotation = `"` + WebhookMask + `"`

// KeepWebhookSecrets checks the annotation webhook of t, which is about to be
// stored, and puts stored secrets in the place of masks: the first mask stands for
// the first secret in the annotations that t has had, and so on. An annotation that
// it had is not checked again. Its error is a *MalformedError.
//
// Only the server marks the annotation as encrypted: what a client marks is taken as
// it is, so that nobody has others' secrets decrypted.
func (t *Trigger) KeepWebhookSecrets(had Parameters) error {
	a, ok := t.Annotations.entry(WebhookAnnotation)
	if !ok {
		return nil
	}
	was, known := had.entry(WebhookAnnotation)
	if known && (a.same(was) || string(a.Value) == maskedAnnotation) {
		t.Annotations = t.Annotations.With(was)
		return nil
	}
	a.Encryption, a.Init = "", false
	t.Annotations = t.Annotations.With(a)
	if isAbsent(a.Value) {
		return nil
	}
	stored, err := ParseWebhook(was.Value)
	if err != nil {
		stored = &Webhook{}
	}
	var asked struct{ Verify WebhookScheme }
	_ = json.Unmarshal(a.Value, &asked) // what it is not is told below
	next := 0
	kept, err := MapWebhookSecrets(t.Annotations, func(secret string) (string, error) {
		if secret != WebhookMask {
			return secret, nil
		}
		if asked.Verify != stored.Verify || next >= len(stored.Secrets) {
			return "", badWebhook("%s stands for a stored secret, and there is none for it: send the secret itself", WebhookMask)
		}
		next++
		return stored.Secrets[next-1], nil
	})
	if err != nil {
		return err
	}
	t.Annotations = kept
	_, err = t.Webhook()
	return err
}
