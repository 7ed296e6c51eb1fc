package local

import (
	"context"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

var _ bus.Journal = (*Bus)(nil)

const (
	recordExists  = `SELECT 1 FROM activations WHERE id = ? AND namespace = ?`
	insertEntry   = `INSERT INTO journal (controller, namespace, id, body) VALUES (?,?,?,?) ON CONFLICT (id, namespace) DO NOTHING`
	deleteEntry   = `DELETE FROM journal WHERE id = ? AND namespace = ?`
	unfinishedOf  = `SELECT seq, namespace, id, body FROM journal WHERE controller = ? AND seq > ? ORDER BY seq LIMIT ?`
	entryOverhead = 4096
)

// hasRecord reports whether the activation has ended.
func hasRecord(tx *sqlite.Tx, namespace entity.Path, id entity.ActivationID) (found bool, err error) {
	err = tx.Query(recordExists, func(*sqlite.Row) error { found = true; return nil }, string(id), string(namespace))
	return found, err
}

// Begin implements bus.Journal.
func (b *Bus) Begin(ctx context.Context, controller entity.ControllerID, e bus.Entry) error {
	if len(e.Body) > b.maxMessage+entryOverhead {
		return fmt.Errorf("%w: the journal entry %s has %d bytes", bus.ErrTooLarge, e.ID, len(e.Body))
	}
	err := b.db.Write(ctx, func(tx *sqlite.Tx) error {
		if ended, err := hasRecord(tx, e.Namespace, e.ID); err != nil || ended {
			return duplicateIf(ended, err)
		}
		n, err := tx.Exec(insertEntry, string(controller), string(e.Namespace), string(e.ID), e.Body)
		return duplicateIf(n == 0, err)
	})
	if err != nil {
		return fmt.Errorf("begin %s: %w", e.ID, err)
	}
	return nil
}

func duplicateIf(exists bool, err error) error {
	if err == nil && exists {
		return bus.ErrDuplicate
	}
	return err
}

// End implements bus.Journal: the record and the end of the entry are one
// transaction.
func (b *Bus) End(ctx context.Context, _ entity.ControllerID, e bus.Entry, record *entity.Activation) error {
	var encoded sqlite.EncodedActivation
	if record != nil {
		encoded = sqlite.EncodeActivation(record)
	}
	err := b.db.Write(ctx, func(tx *sqlite.Tx) error {
		if record != nil {
			if _, err := tx.RecordActivation(&encoded); err != nil {
				return err
			}
		}
		_, err := tx.Exec(deleteEntry, string(e.ID), string(e.Namespace))
		return err
	})
	if err != nil {
		return fmt.Errorf("end %s: %w", e.ID, err)
	}
	return nil
}

// pageLength is how many entries Unfinished holds at a time; each may have megabytes.
const pageLength = 16

// Unfinished implements bus.Journal.
func (b *Bus) Unfinished(ctx context.Context, controller entity.ControllerID, each func(bus.Entry) error) error {
	for after := int64(0); ; {
		page, last, err := b.unfinishedPage(ctx, controller, after)
		if err != nil {
			return fmt.Errorf("read the journal of controller %s: %w", controller, err)
		}
		for _, e := range page {
			if err := each(e); err != nil {
				return err
			}
		}
		if len(page) < pageLength {
			return nil
		}
		after = last
	}
}

func (b *Bus) unfinishedPage(ctx context.Context, controller entity.ControllerID, after int64) (page []bus.Entry, last int64, err error) {
	err = b.db.Write(ctx, func(tx *sqlite.Tx) error {
		page = nil
		return tx.Query(unfinishedOf, func(r *sqlite.Row) error {
			last = r.Int64(0)
			page = append(page, bus.Entry{Namespace: entity.Path(r.String(1)), ID: entity.ActivationID(r.String(2)), Body: r.Bytes(3)})
			return nil
		}, string(controller), after, pageLength)
	})
	return page, last, err
}
