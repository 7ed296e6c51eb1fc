package sqlite

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// maxInlineCode is how much code stays in the entity's row; longer code has a
// row of its own, so that updates of the entity do not rewrite it.
const maxInlineCode = 64 << 10

// code is an action's code as it is stored: inline, or as an attachment, which
// is the decoded form of base64 or text.
type code struct {
	inline     any // string or nil
	attachment []byte
	isBase64   bool
}

// encodeCode chooses the form. Base64 is decoded only if encoding gives back
// the identical text; clients compare what they read with what they sent.
func encodeCode(text string) *code {
	if entity.IsBinary(text) {
		decoded, err := base64.StdEncoding.Strict().DecodeString(text)
		if err == nil && base64.StdEncoding.EncodeToString(decoded) == text {
			return &code{attachment: decoded, isBase64: true}
		}
	}
	if len(text) > maxInlineCode {
		return &code{attachment: []byte(text)}
	}
	return &code{inline: text}
}

// write replaces the code of the entity, whose old attachment (0 for none) goes.
func (c *code) write(tx *Tx, id string, seq, old int64) error {
	if err := deleteAttachment(tx, old); err != nil {
		return err
	}
	var attachment any
	if c.attachment != nil {
		// The revision that brings the attachment names it: it is unique.
		attachment = seq
		if _, err := tx.Exec(`INSERT INTO attachments (id, is_base64, content) VALUES (?,?,?)`, seq, boolean(c.isBase64), c.attachment); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE entities SET attachment = ?, code = ? WHERE id = ?`, attachment, c.inline, id)
	return err
}

func deleteAttachment(tx *Tx, id int64) error {
	if id == 0 {
		return nil
	}
	_, err := tx.Exec(`DELETE FROM attachments WHERE id = ?`, id)
	return err
}

func (s *entities) Code(ctx context.Context, a *entity.Action) (string, error) {
	var text string
	var found bool
	err := s.db.look(ctx, `SELECT e.code, t.content, t.is_base64 FROM entities e LEFT JOIN attachments t ON t.id = e.attachment WHERE e.id = ? AND e.type = 'action'`, func(r *Row) error {
		found = true
		switch content := r.Bytes(1); {
		case r.IsNull(2):
			text = r.String(0)
		case r.Int64(2) != 0:
			text = base64.StdEncoding.EncodeToString(content)
		default:
			text = string(content)
		}
		return nil
	}, string(a.ID()))
	if err != nil {
		return "", fmt.Errorf("code of %s: %w", a.ID(), err)
	}
	if !found {
		return "", store.ErrNotFound
	}
	return text, nil
}
