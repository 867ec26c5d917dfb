package redisadapter_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// One member finds bytes that it cannot read, and before it has the lease, the
// other one has loaded.
func TestServer_Fault_UnreadableButHealedMeanwhile(t *testing.T) {
	s, f := faulty(t, sharersOptions{})
	s.Do("SET", f.key("key"), text(100))
	var healed atomic.Bool
	f.members[1].client.AddHook(answeredHook(func(cmd redis.Cmder) {
		if cmd.Name() == "evalsha" && !healed.Swap(true) {
			if r := soon(t, "the first", f.ask(0, "key")); r.Value != 2 || r.err != nil || !r.Stored {
				t.Errorf("the first got %+v", r)
			}
		}
	}))
	if r := soon(t, "the second", f.ask(1, "key")); r.Value != 2 || r.err != nil {
		t.Errorf("the second got %+v, want what the first one loaded", r)
	}
	if n := len(f.source.of("key")); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}
}

// answeredHook is called when a single command was answered, before its caller
// knows.
type answeredHook func(cmd redis.Cmder)

func (h answeredHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h answeredHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h(cmd)
		return err
	}
}

func (h answeredHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
