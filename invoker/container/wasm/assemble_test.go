package wasm

import "slices"

// Types of values and of functions, as modules have them.
const (
	i32 = 0x7f
	i64 = 0x7e
)

// assembly is a module written by hand. Functions are numbered from the imported
// ones on.
type assembly struct {
	imports []imported
	tables  [][]byte
	pages   int // of memory, from the start
	funcs   []function
	data    string // at address 1024 of the memory
	custom  []byte
}

type imported struct {
	from, name      string
	params, results []byte
}

type function struct {
	export          string
	params, results []byte
	locals          []byte // groups, as the binary format has them; nil is none
	body            []byte // without the final end
}

// bytes returns the module.
func (a assembly) bytes() []byte {
	types, imports, funcs, exports, code := [][]byte{}, [][]byte{}, [][]byte{}, [][]byte{}, [][]byte{}
	for _, f := range a.imports {
		imports = append(imports, slices.Concat(text(f.from), text(f.name), []byte{0}, appendU32(nil, len(types))))
		types = append(types, signature(f.params, f.results))
	}
	for i, f := range a.funcs {
		funcs = append(funcs, appendU32(nil, len(types)))
		types = append(types, signature(f.params, f.results))
		if f.export != "" {
			exports = append(exports, slices.Concat(text(f.export), []byte{0}, appendU32(nil, len(a.imports)+i)))
		}
		locals := f.locals
		if locals == nil {
			locals = []byte{0}
		}
		code = append(code, sized(slices.Concat(locals, f.body, []byte{0x0b})))
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	add := func(id byte, entries [][]byte) {
		if len(entries) > 0 {
			out = append(append(out, id), sized(slices.Concat(appendU32(nil, len(entries)), slices.Concat(entries...)))...)
		}
	}
	add(1, types)
	add(2, imports)
	add(3, funcs)
	add(sectionTable, a.tables)
	if a.pages > 0 {
		exports = append(exports, slices.Concat(text("memory"), []byte{2, 0}))
		add(sectionMemory, [][]byte{append([]byte{0}, appendU32(nil, a.pages)...)})
	}
	add(7, exports)
	add(sectionCode, code)
	if a.data != "" {
		add(11, [][]byte{slices.Concat([]byte{0, 0x41, 0x80, 0x08, 0x0b}, text(a.data))})
	}
	if a.custom != nil {
		out = append(append(out, sectionCustom), sized(a.custom)...)
	}
	return out
}

func signature(params, results []byte) []byte {
	return slices.Concat([]byte{0x60}, sized(params), sized(results))
}

func sized(b []byte) []byte { return append(appendU32(nil, len(b)), b...) }

func text(s string) []byte { return sized([]byte(s)) }

// constant is i32.const n.
func constant(n int) []byte {
	out := []byte{0x41}
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b < 0x40 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// calls is call f.
func calls(f int) []byte { return append([]byte{0x10}, appendU32(nil, f)...) }

// Instructions that need nothing else.
var (
	drop        = []byte{0x1a}
	unreachable = []byte{0x00}
	forever     = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b} // loop br 0 end
	fill        = []byte{0xfc, 0x0b, 0x00}             // memory.fill
	grow        = []byte{0x40, 0x00}                   // memory.grow
)

// fdWrite and procExit are imports of the system.
var (
	fdWrite  = imported{"wasi_snapshot_preview1", "fd_write", []byte{i32, i32, i32, i32}, []byte{i32}}
	procExit = imported{"wasi_snapshot_preview1", "proc_exit", []byte{i32}, nil}
)

// prints is a function body that writes the data of the module to a stream: import
// number 0 is fdWrite.
func prints(stream int, data string) []byte {
	return slices.Concat(
		constant(0), constant(1024), []byte{0x36, 2, 0}, // i32.store the address
		constant(4), constant(len(data)), []byte{0x36, 2, 0}, // i32.store the length
		constant(stream), constant(0), constant(1), constant(8), calls(0), drop,
	)
}

// printer is a command that prints one text.
func printer(data string, then ...[]byte) assembly {
	return assembly{
		imports: []imported{fdWrite, procExit}, pages: 1, data: data,
		funcs: []function{{export: "_start", body: slices.Concat(prints(1, data), slices.Concat(then...))}},
	}
}

// starting is a command with the given body, and further functions.
func starting(body []byte, more ...function) assembly {
	return assembly{pages: 1, funcs: append([]function{{export: "_start", body: body}}, more...)}
}
