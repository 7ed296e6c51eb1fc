package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// maxTarget bounds a link's target; longer ones no system would follow.
const maxTarget = 4096

func (x *extraction) zip(data []byte) error {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return &Error{Problem: "is not a readable zip file", Err: err}
	}
	for _, f := range r.File {
		if err := x.zipEntry(f); err != nil {
			return err
		}
	}
	return nil
}

func (x *extraction) zipEntry(f *zip.File) error {
	name, err := x.entry(f.Name)
	if err != nil || name == "" {
		return err
	}
	const encrypted = 1
	if f.Flags&encrypted != 0 {
		return &Error{Entry: f.Name, Problem: "is encrypted"}
	}
	mode := f.Mode()
	if mode.IsDir() || strings.HasSuffix(f.Name, "/") {
		return x.directory(name)
	}
	if !mode.IsRegular() && mode.Type() != fs.ModeSymlink {
		return &Error{Entry: f.Name, Problem: fmt.Sprintf("is a special file (%v)", mode.Type())}
	}
	content, err := f.Open()
	if err != nil {
		return &Error{Entry: f.Name, Problem: "cannot be read", Err: err}
	}
	defer func() { _ = content.Close() }()
	if mode.IsRegular() {
		return x.file(name, mode&0o111 != 0, content)
	}
	target, err := io.ReadAll(io.LimitReader(content, maxTarget))
	if err != nil {
		return &Error{Entry: f.Name, Problem: "is damaged", Err: err}
	}
	return x.later(name, string(target))
}

func (x *extraction) tarGz(data []byte) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return &Error{Problem: "is not a readable gzip file", Err: err}
	}
	// The bound below the tar reader covers what it skips or reads ahead: headers,
	// extended attributes and padding count against the machine too.
	bounded := &io.LimitedReader{R: unzipped, N: 2*x.limits.Bytes + int64(x.limits.Entries)*1024}
	r := tar.NewReader(bounded)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return &Error{Problem: "is not a readable tar file", Err: err}
		}
		if err := x.tarEntry(h, r); err != nil {
			return err
		}
	}
}

func (x *extraction) tarEntry(h *tar.Header, content io.Reader) error {
	name, err := x.entry(h.Name)
	if err != nil || name == "" {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return x.directory(name)
	case tar.TypeReg:
		return x.file(name, h.Mode&0o111 != 0, content)
	case tar.TypeSymlink:
		return x.later(name, h.Linkname)
	case tar.TypeLink:
		return x.hardLink(h, name)
	case tar.TypeXGlobalHeader:
		return nil
	}
	return &Error{Entry: h.Name, Problem: fmt.Sprintf("is a special file (type %q)", h.Typeflag)}
}

// hardLink copies the file that the entry names: the archive means one content
// under two names, and a copy cannot tie files together in surprising ways.
func (x *extraction) hardLink(h *tar.Header, name string) error {
	target, err := x.entry(h.Linkname)
	if err != nil {
		return err
	}
	if target == "" || target == name {
		return &Error{Entry: h.Name, Problem: fmt.Sprintf("is a link to %q", h.Linkname)}
	}
	from, err := x.root.Open(target)
	if err != nil {
		return &Error{Entry: h.Name, Problem: fmt.Sprintf("is a link to %q, which is not in the archive before it", h.Linkname), Err: cause(err)}
	}
	defer func() { _ = from.Close() }()
	info, err := from.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return &Error{Entry: h.Name, Problem: fmt.Sprintf("is a link to %q, which is not a file", h.Linkname), Err: err}
	}
	return x.file(name, info.Mode()&0o111 != 0, from)
}
