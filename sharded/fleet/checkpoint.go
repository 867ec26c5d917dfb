package fleet

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
)

// Checkpoint is how far a [Migrate] has come. It goes through encoding/json and back
// unchanged.
type Checkpoint struct {
	// From and To are the digests of the topologies, in hexadecimal. Both are empty in
	// the zero Checkpoint, which is what there is before a migration and after it.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`

	// Cursors are those of the next pages, by the IDs of the shards that are scanned.
	Cursors map[string]string `json:"cursors,omitempty"`

	// Shards are what came of those that were begun.
	Shards map[string]ShardReport `json:"shards,omitempty"`
}

// Checkpoints is where a [Migrate] notes how far it has come, for who goes on with it.
// It holds one [Checkpoint] and is safe for concurrent use. Package redisfleet, beside
// redisadapter, has one on Redis.
type Checkpoints interface {
	// Load returns what was saved last; the zero Checkpoint if nothing was.
	Load(ctx context.Context) (Checkpoint, error)

	// Save replaces what is there.
	Save(ctx context.Context, c Checkpoint) error
}

// CheckpointError says that Checkpoints hold one of another migration. It may be one
// that still runs; if it does not, Save of the zero Checkpoint forgets it.
type CheckpointError struct {
	Found Checkpoint
	From  string // the digests of the migration that was to go on
	To    string
}

// Error names both migrations.
func (e *CheckpointError) Error() string {
	return fmt.Sprintf("fleet: the checkpoint is of the migration from topology %.12s to %.12s, not from %.12s to %.12s",
		e.Found.From, e.Found.To, e.From, e.To)
}

// newCheckpoint returns the beginning of a migration.
func newCheckpoint(from, to Topology) Checkpoint {
	a, b := from.Digest(), to.Digest()
	return Checkpoint{From: hex.EncodeToString(a[:]), To: hex.EncodeToString(b[:])}
}

// clone returns a copy that nobody else writes to.
func (c Checkpoint) clone() Checkpoint {
	c.Cursors, c.Shards = maps.Clone(c.Cursors), maps.Clone(c.Shards)
	return c
}

// MemoryCheckpoints are [Checkpoints] in the memory of one process. The zero value is
// empty and ready.
type MemoryCheckpoints struct {
	mu  sync.Mutex
	now Checkpoint // guarded by mu
}

var _ Checkpoints = (*MemoryCheckpoints)(nil)

// Load returns what was saved last. The error is always nil.
func (m *MemoryCheckpoints) Load(context.Context) (Checkpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.clone(), nil
}

// Save replaces what is there. The error is always nil.
func (m *MemoryCheckpoints) Save(_ context.Context, c Checkpoint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = c.clone()
	return nil
}
