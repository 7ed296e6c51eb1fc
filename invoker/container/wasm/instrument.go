package wasm

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Bounds of a module. They are those of browsers, or what no honest module comes
// near.
const (
	maxFunctionBytes = 7_654_321
	maxFunctions     = 1_000_000
	maxLocals        = 50_000 // of a function
	maxTables        = 4
	maxTableEntries  = 1 << 20
	pageBytes        = 64 << 10
)

// leafBytes is how long a function may be that is not stopped at: it calls
// nothing, so that it ends after as many instructions.
const leafBytes = 256

// stop is an empty loop. The compiler has the beginning of every loop look whether
// the instance is to end: this is how it is made to look elsewhere.
var stop = []byte{0x03, 0x40, 0x0b}

// module is a module that is fit to be compiled.
type module struct {
	code []byte
	// memory is what it has from the start, in bytes.
	memory int64
}

// Sections of a module that are looked at, by number.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionTable     = 4
	sectionMemory    = 5
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionDataCount = 12
)

// badModule is a fault of a module, in words that follow "the module".
type badModule string

func (e badModule) Error() string { return "the module " + string(e) }

func badf(format string, args ...any) error { return badModule(fmt.Sprintf(format, args...)) }

var errCutOff = badModule("is cut off or damaged")

// isModule reports whether b begins as a module does; components, which are
// something else, have another version.
func isModule(b []byte) bool { return len(b) >= 8 && string(b[:8]) == "\x00asm\x01\x00\x00\x00" }

// instrument rewrites a module so that it can always be stopped, however it was
// made: at the beginning of each function that calls others or is long, so that
// recursion looks up too, and before instructions that work on whole memories.
// Tables get an upper bound. Sections for debuggers are left out. The module is
// not otherwise validated: the compiler does that.
func instrument(binary []byte) (module, error) {
	if !isModule(binary) {
		return module{}, badModule("does not begin with the magic bytes of WebAssembly, version 1")
	}
	m := module{code: make([]byte, 0, len(binary)+len(binary)/16)}
	m.code = append(m.code, binary[:8]...)
	r := reader{b: binary[8:]}
	for len(r.b) > 0 && r.err == nil {
		id := r.byte()
		content := r.bytes(r.u32())
		if r.err != nil {
			break
		}
		if err := m.section(id, content); err != nil {
			return module{}, err
		}
	}
	return m, r.err
}

// section appends a section, changed where need be.
func (m *module) section(id byte, content []byte) error {
	if isVector(id) {
		// Decoders make room for as many entries as a section says it has.
		if r := (reader{b: content}); r.u32() > len(content) {
			return errCutOff
		}
	}
	var err error
	switch id {
	case sectionCustom:
		r := reader{b: content}
		if name := r.bytes(r.u32()); string(name) != "name" {
			return r.err
		}
	case sectionType:
		err = checkTypes(content)
	case sectionElement:
		err = checkElements(content)
	case sectionTable:
		content, err = boundTables(content)
	case sectionMemory:
		m.memory, err = initialMemory(content)
	case sectionCode:
		content, err = instrumentCode(content)
	}
	if err != nil {
		return err
	}
	m.code = append(m.code, id)
	m.code = appendU32(m.code, len(content))
	m.code = append(m.code, content...)
	return nil
}

// isVector: the section is a number of entries and the entries.
func isVector(id byte) bool {
	return id != sectionCustom && id != sectionStart && id != sectionDataCount
}

func initialMemory(content []byte) (int64, error) {
	r := reader{b: content}
	if count := r.u32(); count == 0 {
		return 0, r.err
	}
	r.byte() // whether there is a maximum
	return int64(r.u32()) * pageBytes, r.err
}

// boundTables gives every table a maximum.
func boundTables(content []byte) ([]byte, error) {
	r := reader{b: content}
	count := r.u32()
	if count > maxTables {
		return nil, badf("has %d tables, more than %d", count, maxTables)
	}
	out := appendU32(nil, count)
	for range count {
		element, flags, least, most := r.byte(), r.byte(), r.u32(), maxTableEntries
		if flags > 1 {
			return nil, badModule("has a table of a form that is not supported")
		}
		if flags == 1 {
			most = min(most, r.u32())
		}
		if least > maxTableEntries {
			return nil, badf("has a table of %d entries, more than %d", least, maxTableEntries)
		}
		out = append(out, element, 1)
		out = appendU32(out, least)
		out = appendU32(out, most)
	}
	return append(out, r.b...), r.err
}

func instrumentCode(content []byte) ([]byte, error) {
	r := reader{b: content}
	count := r.u32()
	if count > maxFunctions {
		return nil, badf("has %d functions, more than %d", count, maxFunctions)
	}
	out := appendU32(make([]byte, 0, len(content)+len(content)/16), count)
	var body []byte
	for i := range count {
		original := r.bytes(r.u32())
		if r.err != nil {
			return nil, r.err
		}
		if len(original) > maxFunctionBytes {
			return nil, badf("has a function (%d) of %d bytes, more than %d", i, len(original), maxFunctionBytes)
		}
		var err error
		if body, err = instrumentFunction(body[:0], original); err != nil {
			return nil, err
		}
		out = appendU32(out, len(body))
		out = append(out, body...)
	}
	return append(out, r.b...), r.err
}

// instrumentFunction appends a function's locals and instructions.
func instrumentFunction(dst, body []byte) ([]byte, error) {
	r := reader{b: body}
	locals := 0
	for range r.u32() { // groups of locals: how many of which type
		locals += r.u32()
		r.byte()
		switch {
		case r.err != nil:
			return nil, r.err
		case locals > maxLocals:
			return nil, badf("has a function of more than %d local variables", maxLocals)
		}
	}
	start := len(body) - len(r.b)
	dst = append(dst, body[:start]...)
	entry := len(dst)
	calls, copied := false, start
	for len(r.b) > 0 {
		at := len(body) - len(r.b)
		switch r.instruction() {
		case call:
			calls = true
		case bulk:
			dst = append(dst, body[copied:at]...)
			dst = append(dst, stop...)
			copied = at
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	dst = append(dst, body[copied:]...)
	if calls || len(body) > leafBytes {
		dst = slices.Insert(dst, entry, stop...)
	}
	return dst, nil
}

func appendU32(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }
