package redisadapter

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// The scripts use little that a server in other clothes might lack: redis.call,
// once redis.pcall, and strings. Each has the entry's key and its lease's, which
// share a hash slot.
var (
	//go:embed lua/common.lua
	luaCommon string
	//go:embed lua/seen_entry.lua
	luaSeenEntry string
	//go:embed lua/seen_value.lua
	luaSeenValue string
	//go:embed lua/acquire.lua
	luaAcquire string
	//go:embed lua/renew.lua
	luaRenew string
	//go:embed lua/release.lua
	luaRelease string
	//go:embed lua/fill.lua
	luaFill string
	//go:embed lua/write.lua
	luaWrite string
)

var (
	scriptAcquire      = redis.NewScript(luaCommon + luaSeenEntry + luaAcquire)
	scriptAcquirePlain = redis.NewScript(luaCommon + luaSeenValue + luaAcquire)
	scriptRenew        = redis.NewScript(luaCommon + luaRenew)
	scriptRelease      = redis.NewScript(luaCommon + luaRelease)
	scriptFill         = redis.NewScript(luaCommon + luaFill)
	scriptWrite        = redis.NewScript(luaCommon + luaWrite)
)

// answer is what a script replied.
type answer struct {
	outcome string
	left    time.Duration // of a lease, or of a value: below zero for no end
	value   string
}

// call runs a script on the keys of p. A script that the server does not know,
// since it was restarted or never had it, is sent along.
func (s *server[K]) call(ctx context.Context, script *redis.Script, p place, args ...any) (answer, error) {
	keys := []string{p.name, s.leaseOf(p.name)}
	args = append([]any{s.timer.inScript()}, args...)
	sent := time.Now()
	cmd := s.send(ctx, script, keys, args)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		sent = time.Now()
		cmd = script.Eval(ctx, s.client, keys, args...)
	}
	return s.read(cmd, trip{sent: sent, got: time.Now()})
}

// read returns what a script replied.
func (s *server[K]) read(cmd *redis.Cmd, t trip) (answer, error) {
	parts, err := cmd.Slice()
	if err != nil {
		return answer{}, failedScript(err)
	}
	a, at, err := parseAnswer(parts)
	if err != nil {
		return answer{}, failed("EVALSHA", err)
	}
	if !at.IsZero() {
		_ = s.timer.clock.learn(t.sent, t.got, at) // a clock that cannot be one is as none
	}
	return a, nil
}

// send issues the script, with a question for the time where one is due and the
// script's own reply would not answer it: the node that runs it may be another
// than the one that all ask.
func (s *server[K]) send(ctx context.Context, script *redis.Script, keys []string, args []any) *redis.Cmd {
	if s.timer.key == "" {
		return script.EvalSha(ctx, s.client, keys, args...)
	}
	return run(ctx, s.timer, true, func(r redis.Cmdable) *redis.Cmd {
		return script.EvalSha(ctx, r, keys, args...)
	})
}

// beforeScript reports whether the question for the time goes with scripts; see
// send.
func (s *server[K]) beforeScript(ctx context.Context) (asks bool, err error) {
	if s.timer.key == "" {
		return false, nil
	}
	return s.timer.beforeWrite(ctx)
}

// beforeWrite is that of what Set and Delete send.
func (s *server[K]) beforeWrite(ctx context.Context) (asks bool, err error) {
	if s.leases.off {
		return s.timer.beforeWrite(ctx)
	}
	return s.beforeScript(ctx)
}

var errReply = errors.New("a reply of another form than the script's")

// parseAnswer takes a script's reply apart. The time is zero if it was not asked
// for.
func parseAnswer(parts []any) (a answer, at time.Time, err error) {
	if len(parts) != 5 {
		return a, at, fmt.Errorf("%w: %d parts, want 5", errReply, len(parts))
	}
	outcome, ok1 := parts[0].(string)
	left, ok2 := parts[1].(int64)
	sec, ok3 := parts[2].(string)
	micro, ok4 := parts[3].(string)
	value, ok5 := parts[4].(string)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return a, at, errReply
	}
	if sec != "" {
		if at, err = parseTime([]string{sec, micro}); err != nil {
			return a, at, err
		}
	}
	return answer{outcome: outcome, left: millis(left), value: value}, at, nil
}

// inMillis returns life as scripts take it.
func inMillis(life time.Duration) string {
	return strconv.FormatInt(int64(px(life)/time.Millisecond), 10)
}

// millis returns what a script said in milliseconds.
func millis(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(n, most)) * time.Millisecond
}
