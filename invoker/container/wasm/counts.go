package wasm

// Decoders make room for as many entries as a vector says it has before they look
// for them. These functions find vectors that are longer than what follows.

// checkTypes looks at the parameters and results of types.
func checkTypes(content []byte) error {
	r := reader{b: content}
	for range r.u32() {
		if form := r.byte(); r.err == nil && form != 0x60 {
			return badModule("has types other than those of functions")
		}
		r.bytes(r.u32())
		r.bytes(r.u32())
		if r.err != nil {
			return r.err
		}
	}
	return r.err
}

// checkElements looks at the entries of element segments.
func checkElements(content []byte) error {
	r := reader{b: content}
	for range r.u32() {
		flags := r.u32()
		isActive, hasMore, hasExpressions := flags&1 == 0, flags&2 != 0, flags&4 != 0
		if isActive {
			if hasMore {
				r.u32() // the table
			}
			r.expression()
		}
		if hasMore || !isActive {
			r.byte() // the type of the entries
		}
		entries := r.u32()
		if entries > len(r.b) {
			return errCutOff
		}
		for range entries {
			if hasExpressions {
				r.expression()
			} else {
				r.u32()
			}
		}
		if r.err != nil {
			return r.err
		}
	}
	return r.err
}

// expression passes over instructions up to and including the end.
func (r *reader) expression() {
	for r.err == nil {
		isEnd := len(r.b) > 0 && r.b[0] == 0x0b
		r.instruction()
		if isEnd {
			return
		}
	}
}
