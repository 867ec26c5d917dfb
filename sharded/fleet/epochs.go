package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Epochs is where the processes of a fleet learn which topology holds, and how far a
// change of it has come. It holds one [Published] and is safe for concurrent use.
// Package redisfleet, beside redisadapter, has one on Redis; [MemoryEpochs] are for
// fleets of one process.
type Epochs interface {
	// Load returns what was published last; the zero Published if nothing was.
	Load(ctx context.Context) (Published, error)

	// Publish puts next in the place of what has the revision, zero standing for
	// nothing, and reports whether it did: false if something else is there.
	Publish(ctx context.Context, revision uint64, next Published) (ok bool, err error)
}

// Published is what [Epochs] hold. It goes through encoding/json and back unchanged.
type Published struct {
	// Revision counts what was published, from 1.
	Revision uint64 `json:"revision"`

	// Phase is how far the change has come.
	Phase Phase `json:"phase"`

	// Topology is the one that holds or, while it changes, is to hold.
	Topology Topology `json:"topology"`

	// Previous is, while it changes, the one before.
	Previous *Topology `json:"previous,omitempty"`

	// Early says that a migration closes the change before its time, and ends it.
	Early bool `json:"early,omitempty"`

	// Aborted says that Previous is to hold again.
	Aborted bool `json:"aborted,omitempty"`
}

// next returns what follows p: in phase, and if that is PhaseSettled with the one
// topology that holds then.
func (p Published) next(phase Phase) Published {
	p.Revision++
	p.Phase = phase
	if phase == PhaseSettled {
		if p.Aborted {
			p.Topology = *p.Previous
		}
		p.Previous, p.Aborted, p.Early = nil, false, false
	}
	return p
}

// firstTries is how often a process tries to publish what comes first. The second time it
// finds what another one has published meanwhile; an Epochs may be late with that.
const firstTries = 10

// firstPause is how long it waits after the first try, and longer each time.
const firstPause = 10 * time.Millisecond

var errContradicts = fmt.Errorf("fleet: Options.Epochs: nothing is there to Load, and something to Publish, %d times in a row", firstTries)

// publishFirst publishes p, unless something is published, and returns what is.
func publishFirst(ctx context.Context, epochs Epochs, p Published) (Published, error) {
	for try := time.Duration(1); ; try++ {
		now, err := epochs.Load(ctx)
		if err == nil && now.Revision == 0 {
			var ok bool
			if ok, err = epochs.Publish(ctx, 0, p); ok {
				return p, nil
			}
		}
		switch {
		case err != nil:
			return p, fmt.Errorf("fleet: Options.Epochs: %w", err)
		case now.Revision == 0 && try == firstTries:
			return p, errContradicts
		case now.Revision == 0: // somebody else was first
			if err := sleep(ctx, (try-1)*firstPause); err != nil {
				return p, err
			}
		case now.Topology.Epoch == p.Topology.Epoch && now.Topology.Digest() != p.Topology.Digest():
			return p, option("Topology", fmt.Sprintf("of epoch %d, another one than is published", p.Topology.Epoch),
				"must be the published one, or have another epoch")
		default:
			return now, now.check()
		}
	}
}

// check returns an error for what no fleet publishes.
func (p Published) check() error {
	err := p.Topology.Validate()
	if p.Previous != nil {
		err = errors.Join(err, p.Previous.Validate())
	}
	if p.Phase > PhaseClose || (p.Previous == nil) != (p.Phase == PhaseSettled) {
		err = errors.Join(err, fmt.Errorf("phase %d, and a previous topology: %v", p.Phase, p.Previous != nil))
	}
	if err != nil {
		return fmt.Errorf("fleet: Options.Epochs: what is published is not valid: %w", err)
	}
	return nil
}

// MemoryEpochs are [Epochs] in the memory of one process. The zero value is empty and
// ready.
type MemoryEpochs struct {
	mu  sync.Mutex
	now Published // guarded by mu
}

var _ Epochs = (*MemoryEpochs)(nil)

// Load returns what was published last. The error is always nil.
func (e *MemoryEpochs) Load(context.Context) (Published, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now, nil
}

// Publish puts next in the place of what has the revision. The error is always nil.
func (e *MemoryEpochs) Publish(_ context.Context, revision uint64, next Published) (ok bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.Revision != revision {
		return false, nil
	}
	e.now = next
	return true, nil
}
