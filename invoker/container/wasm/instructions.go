package wasm

// class says what an instruction means to instrument.
type class uint8

const (
	plain class = iota
	// call may run another function.
	call
	// bulk works on a range of memory or of a table, however long.
	bulk
)

// reader reads the binary format. Its first error stays.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	r.b = nil
	if r.err == nil {
		r.err = errCutOff
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// u32 reads a LEB128 number of at most 32 bits.
func (r *reader) u32() int {
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > 1<<32-1 {
				break
			}
			return int(n)
		}
	}
	r.fail()
	return 0
}

// skip passes over LEB128 numbers of any width and sign.
func (r *reader) skip(numbers int) {
	for range numbers {
		for length := 1; r.byte() >= 0x80; length++ {
			if length == 10 {
				r.fail()
				return
			}
		}
	}
}

// instruction passes over an instruction with its immediates, as of WebAssembly
// 2.0, and returns its class.
func (r *reader) instruction() class {
	switch op := r.byte(); {
	case op == 0x10, op == 0x12: // call, return_call
		r.skip(1)
		return call
	case op == 0x11, op == 0x13: // call_indirect, return_call_indirect
		r.skip(2)
		return call
	case op >= 0x02 && op <= 0x04, // block, loop, if
		op == 0x0c, op == 0x0d, // br, br_if
		op >= 0x20 && op <= 0x26, // locals, globals, table.get and table.set
		op >= 0x3f && op <= 0x42, // memory.size and memory.grow, i32.const, i64.const
		op == 0xd0, op == 0xd2:   // ref.null, ref.func
		r.skip(1)
	case op == 0x0e: // br_table
		r.vector()
	case op == 0x1c: // select with types
		r.bytes(r.u32())
	case op >= 0x28 && op <= 0x3e: // loads and stores
		r.skip(2)
	case op == 0x43: // f32.const
		r.bytes(4)
	case op == 0x44: // f64.const
		r.bytes(8)
	case op == 0x00, op == 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1,
		op >= 0x45 && op <= 0xc4:
	case op == 0xfc:
		return r.extended()
	case op == 0xfd:
		r.vectorInstruction()
	default:
		r.unknown(int(op))
	}
	return plain
}

// vector passes over the targets of br_table.
func (r *reader) vector() {
	for n := r.u32(); n >= 0 && r.err == nil; n-- { // the default follows
		r.skip(1)
	}
}

func (r *reader) extended() class {
	switch op := r.u32(); {
	case op <= 7: // saturating conversions
	case op == 9, op == 13, op == 16: // data.drop, elem.drop, table.size
		r.skip(1)
	case op == 11, op == 15, op == 17: // memory.fill, table.grow, table.fill
		r.skip(1)
		return bulk
	case op == 8, op == 10, op == 12, op == 14: // memory.init and copy, table.init and copy
		r.skip(2)
		return bulk
	default:
		r.unknown(0xfc00 + op)
	}
	return plain
}

// vectorInstruction passes over what follows the prefix of SIMD.
func (r *reader) vectorInstruction() {
	switch op := r.u32(); {
	case op <= 11, op == 92, op == 93: // loads and stores
		r.skip(2)
	case op == 12, op == 13: // v128.const, i8x16.shuffle
		r.bytes(16)
	case op >= 21 && op <= 34: // lanes
		r.bytes(1)
	case op >= 84 && op <= 91: // loads and stores of a lane
		r.skip(2)
		r.bytes(1)
	case op > 0xff:
		r.unknown(0xfd00 + op)
	}
}

func (r *reader) unknown(op int) {
	r.b = nil
	if r.err == nil {
		r.err = badf("has an instruction (0x%x) that is not part of WebAssembly 2.0", op)
	}
}
