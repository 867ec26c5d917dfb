package contender

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/redis/rueidis"
)

// rueidis, which pipelines by itself; its client-side caching is off.

func init() {
	register(Contender{Name: "rueidis GET", Module: "github.com/redis/rueidis", Far: newRueidis})
}

type rueidisFar struct{ client rueidis.Client }

func newRueidis(o FarOptions) (Far, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{o.Addr}, DisableCache: true, ForceSingleClient: true,
		DialCtxFn: func(ctx context.Context, addr string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return o.Dial(ctx, "tcp", addr)
		},
	})
	if err != nil {
		return nil, err
	}
	return &rueidisFar{c}, nil
}

func (r *rueidisFar) Put(ctx context.Context, key string, value []byte) error {
	return r.client.Do(ctx, r.client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Ex(Life).Build()).Error()
}

func (r *rueidisFar) Get(ctx context.Context, key string) (int, error) {
	b, err := r.client.Do(ctx, r.client.B().Get().Key(key).Build()).AsBytes()
	return touched(b), err
}

func (r *rueidisFar) Close() { r.client.Close() }
