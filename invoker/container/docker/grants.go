package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// grants says which namespaces may use an image that was pulled with a
// namespace's own registry credentials. The engine keeps no such thing, and what it
// has anybody could run. Images without an entry are everybody's. It outlives the
// server in a file.
type grants struct {
	path string

	mu sync.Mutex // guards byImage and the file
	// byImage has the namespaces by the image's id. The slices are never changed.
	byImage map[string][]string
}

func openGrants(dir string) (*grants, error) {
	g := &grants{path: filepath.Join(dir, "private-images.json"), byImage: make(map[string][]string)}
	content, err := os.ReadFile(g.path)
	if errors.Is(err, os.ErrNotExist) {
		return g, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &g.byImage)
	}
	if err != nil {
		return nil, fmt.Errorf("read which images are private, in %s; without it remove them from the engine: %w", g.path, err)
	}
	return g, nil
}

// allow reports whether a namespace may use an image without asking its registry.
func (g *grants) allow(image, namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	namespaces, isRestricted := g.byImage[image]
	return !isRestricted || slices.Contains(namespaces, namespace)
}

func (g *grants) isRestricted(image string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, isRestricted := g.byImage[image]
	return isRestricted
}

// add lets a namespace use an image, and from then on only those that were added.
func (g *grants) add(image, namespace string) error {
	return g.change(func(byImage map[string][]string) {
		if !slices.Contains(byImage[image], namespace) {
			byImage[image] = append(slices.Clone(byImage[image]), namespace)
		}
	})
}

// remove lets everybody use an image.
func (g *grants) remove(image string) error {
	return g.change(func(byImage map[string][]string) { delete(byImage, image) })
}

// change stores a changed copy, and then uses it.
func (g *grants) change(change func(map[string][]string)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := maps.Clone(g.byImage)
	change(changed)
	if maps.EqualFunc(changed, g.byImage, slices.Equal) {
		return nil
	}
	content, err := json.Marshal(changed)
	if err == nil {
		err = writeFile(g.path, content)
	}
	if err != nil {
		return fmt.Errorf("keep which images are private: %w", err)
	}
	g.byImage = changed
	return nil
}
