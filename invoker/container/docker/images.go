package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	contract "github.com/gowhisk/gowhisk/runtimes"
	"go.uber.org/zap"
)

const blackbox = runtimes.Blackbox

// image is what a container is made of.
type image struct {
	// id pins the content: a tag may move between the check and the start.
	id string
	// isLocal: the engine did not get it from a registry.
	isLocal bool
	// knowsMark: its proxy takes the mark of the log sentinels.
	knowsMark bool
	user      string
	// scratch lists the directories that must be writable when the root is not;
	// empty leaves the root writable.
	scratch []string
}

// images finds the images of containers, and has the engine pull them.
type images struct {
	factory     *Factory
	credentials *credentials
	grants      *grants

	mu      sync.Mutex // guards what follows; never held across I/O
	pulls   map[pullKey]*pull
	checked map[pullKey]time.Time // when a registry was asked last
}

// pullKey: what is pulled, and as whom. Pulls with equal keys are one.
type pullKey struct{ reference, credential string }

func openImages(f *Factory) (*images, error) {
	c, err := openCredentials(f.config.Credentials, f.log)
	if err != nil {
		return nil, err
	}
	g, err := openGrants(f.config.Dir)
	if err != nil {
		return nil, err
	}
	return &images{
		factory: f, credentials: c, grants: g,
		pulls: make(map[pullKey]*pull), checked: make(map[pullKey]time.Time),
	}, nil
}

// request is an image that a container needs.
type request struct {
	name      reference.Named
	namespace string
	// isManaged: it is the platform's own, which the operator chose.
	isManaged bool
	policy    PullPolicy
}

// resolve returns the image of a container, pulled if the policy wants that.
// Errors that the action's author or a runtime's absence caused are a
// *container.StartError.
func (s *images) resolve(ctx context.Context, spec container.Spec) (*image, error) {
	config := s.factory.config
	if spec.Kind != blackbox {
		i, err := s.find(ctx, spec.Image, request{isManaged: true, policy: config.PullManaged})
		if errors.Is(err, errNoImage) {
			return nil, &container.StartError{
				Text: fmt.Sprintf("The runtime '%s' is not available on this server.", spec.Kind), Err: err,
			}
		}
		return i, err
	}
	r := request{namespace: spec.Namespace, policy: config.Pull}
	if config.IsManagedImage(spec.Image) {
		r = request{isManaged: true, policy: config.PullManaged}
	}
	i, err := s.find(ctx, spec.Image, r)
	if err != nil && ctx.Err() == nil && errors.Is(err, errNoImage) {
		return nil, &container.StartError{Text: fmt.Sprintf("Failed to pull container image '%s'.", spec.Image), Err: err}
	}
	return i, err
}

// errNoImage: the image is neither there nor to be had.
var errNoImage = errors.New("the image is not available")

// find returns the image with the given name.
func (s *images) find(ctx context.Context, name string, r request) (*image, error) {
	var err error
	if r.name, err = s.parse(name); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoImage, err)
	}
	present, err := s.inspect(ctx, r.name)
	if err != nil {
		return nil, err
	}
	credential, err := s.credentials.find(r.namespace, reference.Domain(r.name))
	if err != nil {
		return nil, err
	}
	key := pullKey{r.name.String(), credential.key}
	isAllowed := present != nil && s.allows(r, present)
	if !s.wants(r, key, present, isAllowed) {
		if !isAllowed {
			return nil, fmt.Errorf("%w: %s is not on the engine; build or pull it", errNoImage, name)
		}
		return present, nil
	}
	if err := s.pull(ctx, key, credential, r); err != nil {
		if ctx.Err() != nil || !isAllowed || isLatest(r.name) {
			return nil, fmt.Errorf("%w: %w", errNoImage, err)
		}
		// Its registry may be away for a while; that must not stop what runs.
		s.factory.log.Warn("asking for a newer image failed; the present one is used", zap.String("image", name), zap.Error(err))
		s.noteChecked(key)
		return present, nil
	}
	return s.pulled(ctx, r)
}

// pulled returns the image that a pull brought.
func (s *images) pulled(ctx context.Context, r request) (*image, error) {
	i, err := s.inspect(ctx, r.name)
	switch {
	case err != nil:
		return nil, err
	case i == nil:
		return nil, fmt.Errorf("%w: %s was pulled, but is not on the engine", errNoImage, r.name)
	case !s.allows(r, i):
		return nil, fmt.Errorf("%w: %s was replaced by an image of another namespace", errNoImage, r.name)
	}
	return i, nil
}

// allows reports whether an image may be used without asking its registry.
func (s *images) allows(r request, i *image) bool {
	return r.isManaged || s.grants.allow(i.id, r.namespace)
}

// wants reports whether an image is to be pulled. One of a namespace's own is
// pulled for another namespace whatever the policy: only the registry can say
// whether that may have it.
func (s *images) wants(r request, key pullKey, present *image, isAllowed bool) bool {
	switch {
	case r.policy == PullNever:
		return false
	case present == nil, !isAllowed:
		return true
	case r.policy == PullMissing, present.isLocal, isPinned(r.name):
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.checked[key]
	return !known || time.Since(at) >= s.factory.config.PullTTL
}

// maxChecked bounds what is remembered of registries' answers.
const maxChecked = 4096

func (s *images) noteChecked(key pullKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.checked) >= maxChecked {
		clear(s.checked)
	}
	s.checked[key] = time.Now()
}

// parse reads the name of an image. The result has a registry and a tag or digest;
// it never is an id of the engine's, by which anybody could have any image.
func (s *images) parse(name string) (reference.Named, error) {
	if registry := s.factory.config.UserRegistry; registry != "" && !hasRegistry(name) {
		name = strings.TrimSuffix(registry, "/") + "/" + name
	}
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not the name of an image: %w", name, err)
	}
	return named, nil
}

// hasRegistry: the first part of a name is a host, by Docker's rule.
func hasRegistry(name string) bool {
	first, _, found := strings.Cut(name, "/")
	return found && (strings.ContainsAny(first, ".:") || first == "localhost")
}

func isLatest(name reference.Named) bool {
	tagged, ok := name.(reference.Tagged)
	return ok && tagged.Tag() == "latest" && !isPinned(name)
}

// isPinned: the name says the content.
func isPinned(name reference.Named) bool {
	_, ok := name.(reference.Digested)
	return ok
}

// inspect returns the engine's image of that name, or nil.
func (s *images) inspect(ctx context.Context, name reference.Named) (*image, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.factory.api.ImageInspect(ctx, name.String())
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the image %s: %w", name, explain(err))
	}
	i := &image{id: found.ID, isLocal: len(found.RepoDigests) == 0}
	if found.Config != nil {
		i.user = found.Config.User
		i.knowsMark = found.Config.Labels[contract.ProxyLabel] == "1"
		i.scratch = scratchDirectories(found.Config.Labels[contract.ScratchLabel])
	}
	return i, nil
}
