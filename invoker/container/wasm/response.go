package wasm

import (
	"net/http"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// answer is a whole answer of which at most maxBytes are kept.
func answer(status int, body []byte, maxBytes int64) container.Response {
	length := int64(len(body))
	return container.Response{Status: status, Body: body[:min(length, maxBytes)], Length: length}
}

// failure is how a runtime says that an action failed.
func failure(text string, maxBytes int64) container.Response {
	body := entity.AppendString([]byte(`{"error":`), text)
	return answer(http.StatusBadGateway, append(body, '}'), maxBytes)
}
