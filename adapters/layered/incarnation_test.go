package layered_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// telling is a far cache that tells its incarnation.
type telling struct {
	*memadapter.Process[string, int]
	id  string
	err error
}

func (t telling) Incarnation(context.Context) (string, error) { return t.id, t.err }

// The incarnation is far's, and near has none.
func TestIncarnation(t *testing.T) {
	for name, c := range map[string]struct {
		far corral.Cache[string, int]
		id  string
		err error
	}{
		"told":     {telling{newStore().Process(), "run 1", nil}, "run 1", nil},
		"an error": {telling{newStore().Process(), "", errBoom}, "", errBoom},
		"no word":  {newStore().Process(), "", nil},
	} {
		id, err := layered.New(memadapter.New[string, int](), c.far, layered.Options{}).Incarnation(t.Context())
		if id != c.id || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	if _, err := layered.New[string, int](nil, nil, layered.Options{}).Incarnation(t.Context()); err == nil {
		t.Error("a cache that cannot work has an incarnation")
	}
}

func ExampleCache_Incarnation() {
	far := telling{memadapter.NewShared[string, int](0).Process(), "run 1", nil}
	fmt.Println(layered.New(memadapter.New[string, int](), far, layered.Options{}).Incarnation(context.Background()))
	// Output: run 1 <nil>
}
