package entity

// Package groups actions under shared parameters, or binds another package.
type Package struct {
	Header
	Parameters Parameters
	// Binding is the package that this one refers to, nil for a real package.
	Binding *PackageRef
}

// PackageRef addresses a package.
type PackageRef struct {
	Namespace Path
	Name      Name
}

// Path is the path of the actions in the package.
func (r PackageRef) Path() Path { return r.Namespace.Join(string(r.Name)) }

// ID is the key of the package's document.
func (r PackageRef) ID() DocID { return DocID(r.Path()) }

func (r PackageRef) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"namespace":`...)
	dst = AppendString(dst, string(r.Namespace))
	dst = append(dst, `,"name":`...)
	dst = AppendString(dst, string(r.Name))
	return append(dst, '}')
}

// MarshalJSON writes {"namespace":…,"name":…}.
func (r PackageRef) MarshalJSON() ([]byte, error) { return r.appendJSON(nil), nil }

// Type is TypePackage.
func (*Package) Type() Type { return TypePackage }

// AppendJSON appends the API form without contents; a real package has the
// binding {} (openwhisk-rest-api.md 13.1).
func (p *Package) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = p.appendAddress(dst)
	dst = append(dst, `,"binding":`...)
	if p.Binding != nil {
		dst = p.Binding.appendJSON(dst)
	} else {
		dst = append(dst, '{', '}')
	}
	dst = append(dst, `,"parameters":`...)
	dst = p.Parameters.AppendJSON(dst)
	dst = p.appendState(dst)
	return append(dst, '}')
}

// AppendSummary implements Entity; a real package has the binding false.
func (p *Package) AppendSummary(dst []byte) []byte {
	dst = append(dst, '{')
	dst = p.appendAddress(dst)
	dst = append(dst, `,"binding":`...)
	if p.Binding != nil {
		dst = p.Binding.appendJSON(dst)
	} else {
		dst = append(dst, "false"...)
	}
	dst = p.appendState(dst)
	return append(dst, '}')
}
