package layered_test

import (
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// lone has no call with many keys.
type lone struct{ corral.Cache[string, int] }

func (lone) Far() bool { return true }

// prompt is a far cache that says whether its reads end in time.
type prompt struct {
	*memadapter.Process[string, int]
	yes bool
}

func (p prompt) Prompt() bool { return p.yes }

type promptLone struct{ lone }

func (promptLone) Prompt() bool { return true }

// The Loader asks the far layer whether its reads end in time.
func TestIsAsPromptAsItsFarCache(t *testing.T) {
	process := new(store).Process()
	for name, test := range map[string]struct {
		far  corral.Cache[string, int]
		want bool
	}{
		"prompt":                   {prompt{process, true}, true},
		"prompt, one key at once":  {promptLone{lone{process}}, true},
		"not prompt":               {prompt{process, false}, false},
		"cannot tell":              {process, false},
		"cannot tell, one at once": {lone{process}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := layered.New(memadapter.New[string, int](), test.far, layered.Options{})
			must(t, c.Check())
			_, far := c.Layers()
			if p, ok := far.(corral.Prompt); !ok || p.Prompt() != test.want || c.Prompt() != test.want {
				t.Errorf("prompt: the far layer %v, the cache %v, want %v", ok && p.Prompt(), c.Prompt(), test.want)
			}
		})
	}
}
