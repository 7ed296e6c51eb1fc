package process

import (
	"errors"
	"sync"
)

// errNoUser: all user ids are in use.
var errNoUser = errors.New("no free user id for another container; widen the range of user ids")

// userPool hands out user ids, each to one container at a time. An id comes back
// when nothing that ran under it is left; the longest unused is handed out first.
type userPool struct {
	mu   sync.Mutex
	free []int
}

func newUserPool(first, count int) *userPool {
	p := &userPool{free: make([]int, count)}
	for i := range p.free {
		p.free[i] = first + i
	}
	return p
}

func (p *userPool) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return 0, errNoUser
	}
	id := p.free[0]
	p.free = p.free[1:]
	return id, nil
}

func (p *userPool) put(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, id)
}
