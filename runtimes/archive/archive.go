// Package archive unpacks the zip and tar.gz files in which users upload code.
//
// An archive is a stranger's: nothing is written outside the target directory,
// and neither size nor number of entries can exhaust the machine. Every write
// goes through os.Root, so the kernel's path walk, not string comparison, holds
// that line; the checks before it exist for clear messages. Formats are told
// apart by their magic bytes (openwhisk-invoker.md 1.7, 1.8).
package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Format is an archive format.
type Format string

// The formats that Extract understands; None is everything else.
const (
	None  Format = ""
	Zip   Format = "zip"
	TarGz Format = "tar.gz"
)

// Detect tells the format of data by its magic bytes.
func Detect(data []byte) Format {
	switch {
	case len(data) >= 4 && data[0] == 'P' && data[1] == 'K' &&
		data[2] >= 3 && data[2] <= 7 && data[2]%2 == 1 && data[3] == data[2]+1:
		return Zip
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return TarGz
	}
	return None
}

// Limits bound what an archive may unpack to. The zero value of a field takes
// the default.
type Limits struct {
	// Bytes is the size of all files together, unpacked. Default 512 MiB.
	Bytes int64
	// Entries is the number of files, directories and links. Default 100,000.
	Entries int
	// Ratio is unpacked to packed size; it is looked at beyond 16 MiB unpacked,
	// since small files of zeros are harmless. Default 200.
	Ratio int64
}

const ratioMatters = 16 << 20

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 512 << 20
	}
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Ratio == 0 {
		l.Ratio = 200
	}
	return l
}

// Error says what is wrong with an archive, in words for its author.
type Error struct {
	// Entry is the name of the offending entry, empty when the whole is meant.
	Entry string
	// Problem continues the sentence "the archive …" or "the entry …".
	Problem string
	// Err is the cause, if there is another.
	Err error
}

func (e *Error) Error() string {
	text := "the archive " + e.Problem
	if e.Entry != "" {
		text = fmt.Sprintf("the archive's entry %q %s", e.Entry, e.Problem)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Extract unpacks data below dir, which is created if need be. Files keep their
// execute permission, other modes, owners and times are dropped. On an error,
// what was unpacked so far is left for the caller to remove.
//
// Problems of the archive are an *Error; any other error is the machine's.
func Extract(data []byte, dir string, limits Limits) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the directory for the code: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the directory for the code: %w", err)
	}
	defer func() { _ = root.Close() }()

	x := &extraction{root: root, limits: limits.withDefaults(), packed: int64(len(data)), made: map[string]bool{".": true}}
	switch Detect(data) {
	case Zip:
		err = x.zip(data)
	case TarGz:
		err = x.tarGz(data)
	default:
		err = &Error{Problem: "is neither a zip nor a tar.gz file"}
	}
	if err != nil {
		return err
	}
	return x.link()
}

// extraction is the state of one Extract.
type extraction struct {
	root    *os.Root
	limits  Limits
	packed  int64
	written int64
	entries int
	made    map[string]bool // directories known to exist
	links   []symlink
}

type symlink struct{ name, target string }

// entry checks the name of the next entry and returns its cleaned form; an
// empty one means that there is nothing to do.
func (x *extraction) entry(name string) (string, error) {
	x.entries++
	if x.entries > x.limits.Entries {
		return "", &Error{Problem: fmt.Sprintf("has more than %d entries", x.limits.Entries)}
	}
	switch {
	case strings.ContainsRune(name, 0):
		return "", &Error{Entry: name, Problem: "has a zero byte in its name"}
	case strings.HasPrefix(name, "/"):
		return "", &Error{Entry: name, Problem: "has an absolute path"}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", &Error{Entry: name, Problem: "has '..' in its path"}
		}
	}
	clean := path.Clean(name)
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// directory makes name and its parents.
func (x *extraction) directory(name string) error {
	if x.made[name] {
		return nil
	}
	if err := x.root.MkdirAll(name, 0o755); err != nil {
		return &Error{Entry: name, Problem: "cannot be a directory", Err: cause(err)}
	}
	x.made[name] = true
	return nil
}

// file writes one file from r.
func (x *extraction) file(name string, executable bool, r io.Reader) error {
	if err := x.directory(path.Dir(name)); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return &Error{Entry: name, Problem: "cannot be written", Err: cause(err)}
	}
	err = x.copy(name, f, r)
	return errors.Join(err, f.Close())
}

// copy counts what really comes out, whatever the archive's headers say.
func (x *extraction) copy(name string, w io.Writer, r io.Reader) error {
	room := x.limits.Bytes - x.written
	byRatio := false
	if allowed := max(ratioMatters, x.packed*x.limits.Ratio) - x.written; allowed < room {
		room, byRatio = allowed, true
	}
	n, err := io.Copy(w, io.LimitReader(r, room+1))
	x.written += n
	if n > room {
		if byRatio {
			return &Error{Problem: fmt.Sprintf("unpacks to more than %d times its size", x.limits.Ratio)}
		}
		return &Error{Problem: fmt.Sprintf("unpacks to more than %d bytes", x.limits.Bytes)}
	}
	var onDisk *fs.PathError
	if errors.As(err, &onDisk) {
		return fmt.Errorf("write the archive's entry %q: %w", name, err)
	}
	if err != nil {
		return &Error{Entry: name, Problem: "is damaged", Err: err}
	}
	return nil
}

// later notes a symbolic link. Links are made when all files are written, so
// that no file is ever written through one.
func (x *extraction) later(name, target string) error {
	if target == "" || strings.ContainsRune(target, 0) || path.IsAbs(target) {
		return &Error{Entry: name, Problem: fmt.Sprintf("is a link to %q; only relative links are allowed", target)}
	}
	x.links = append(x.links, symlink{name, target})
	return nil
}

// link makes the symbolic links and then follows each, which fails when a chain
// of them leaves the root.
func (x *extraction) link() error {
	for _, l := range x.links {
		if err := x.directory(path.Dir(l.name)); err != nil {
			return err
		}
		if err := x.root.Symlink(l.target, l.name); err != nil {
			return &Error{Entry: l.name, Problem: "cannot be a link", Err: cause(err)}
		}
	}
	for _, l := range x.links {
		_, err := x.root.Stat(l.name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		_ = x.root.Remove(l.name)
		return &Error{Entry: l.name, Problem: fmt.Sprintf("is a link to %q, which is not inside the archive", l.target), Err: cause(err)}
	}
	return nil
}

// cause drops the operation and path, which the message has already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}
