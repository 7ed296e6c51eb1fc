package docker

import (
	"context"
	"fmt"
)

// Missing returns which of the images the engine that the settings name does not
// have. Where no engine answers the error is ErrNoEngine. It changes nothing.
func Missing(ctx context.Context, s Settings, images ...string) ([]string, error) {
	api, err := connect(ctx, s.Host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = api.Close() }() // only idle connections
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var missing []string
	for _, image := range images {
		_, err := api.ImageInspect(ctx, image)
		switch {
		case isGone(err):
			missing = append(missing, image)
		case err != nil:
			return nil, fmt.Errorf("image %s: %w", image, explain(err))
		}
	}
	return missing, nil
}
