package runtimes

// Published is how `GET /` of the controller shows a runtime: exactly these six
// members (openwhisk-rest-api.md 1.2). wskdeploy reads them.
type Published struct {
	Kind        string `json:"kind"`
	Image       string `json:"image"`
	Deprecated  bool   `json:"deprecated"`
	Default     bool   `json:"default"`
	Attached    bool   `json:"attached"`
	RequireMain bool   `json:"requireMain"`
}

// Published returns the member "runtimes" of `GET /`, by family.
func (m *Manifest) Published() map[string][]Published {
	published := make(map[string][]Published, len(m.families))
	for family, versions := range m.families {
		for _, r := range versions {
			published[family] = append(published[family], Published{
				Kind: r.Kind, Image: r.Image.String(), Deprecated: r.Deprecated,
				Default: r.Default, Attached: r.Attached, RequireMain: r.RequireMain,
			})
		}
	}
	return published
}
