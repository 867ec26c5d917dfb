package main

import (
	"net"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/examples/stampede/internal/stampede"
)

func TestOpenRedis(t *testing.T) {
	cache, closing, err := openRedis(embedded)
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	want := stampede.Row{Version: 3, Loaded: 7 * time.Millisecond}
	entry := &corral.Entry[stampede.Row]{Value: want, LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}
	if err := cache.Set(t.Context(), "key", entry); err != nil {
		t.Fatal(err)
	}
	got, err := cache.Get(t.Context(), "key")
	if err != nil || got == nil || got.Value != want {
		t.Errorf("Get = %+v, %v", got, err)
	}
}

func TestOpenRedisUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	if _, _, err := openRedis(address); err == nil {
		t.Error("no error")
	}
}
