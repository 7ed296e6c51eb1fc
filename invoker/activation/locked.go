package activation

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// lockedError: an argument cannot be decrypted.
type lockedError struct {
	name string
	err  error
}

func (e *lockedError) Error() string {
	return fmt.Sprintf("the encrypted parameter %q cannot be decrypted: %v", e.name, e.err)
}

func (e *lockedError) Unwrap() error { return e.err }

// unlock decrypts the entries of content that locked names with their scheme;
// everything else stays as it is spelled. Arrays have no names and pass as they are
// (openwhisk-invoker.md 6.9). Its errors are *lockedError.
func unlock(content json.RawMessage, locked map[string]string, keys Opener) (json.RawMessage, error) {
	if len(locked) == 0 || len(content) == 0 || content[0] != '{' {
		return content, nil
	}
	out := append(make([]byte, 0, len(content)), '{')
	var err error
	gjson.ParseBytes(content).ForEach(func(key, value gjson.Result) bool {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, key.Raw...)
		out = append(out, ':')
		scheme, isLocked := locked[key.String()]
		if !isLocked {
			out = append(out, value.Raw...)
			return true
		}
		var plain json.RawMessage
		if plain, err = keys.OpenValue(scheme, json.RawMessage(value.Raw)); err != nil {
			err = &lockedError{key.String(), err}
			return false
		}
		out = append(out, plain...)
		return true
	})
	if err != nil {
		return nil, err
	}
	return append(out, '}'), nil
}

// textLocked is for the action's developer, who can set the parameter again.
const textLocked = "The action was not run: %s. Set the parameter again, or ask for the key that it was encrypted with."

// failLocked ends a task whose arguments cannot be decrypted. It is the developer's
// error, since anybody may mark what he sends as encrypted: the invoker is well. A
// container that was to be initialised is not, so the pool cannot keep it.
func (r *Runner) failLocked(t *Task, err error, initialise bool) pool.Outcome {
	m := t.Message()
	r.log.Warn("an action's parameters cannot be decrypted; is a key missing that older values need?", zap.String("transid", m.Transid.ID),
		zap.String("namespace", m.User.Namespace), zap.String("action", string(t.Action.ID())),
		zap.String("activationId", string(m.ActivationID)), zap.Error(err))
	response := entity.ErrorResponse(entity.StatusDeveloperError, fmt.Sprintf(textLocked, err))
	r.settler.Settle(t.Delivery, m.UnrunRecord(t.Action, response, time.Now()), bus.Combined)
	if initialise {
		return pool.Destroy
	}
	return pool.Keep
}
