package main

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

func TestOpenRedis(t *testing.T) {
	cache, closing, err := openRedis(embedded)
	if err != nil {
		t.Fatal(err)
	}
	defer closing()
	want := row{Version: 3, Loaded: at(7)}
	entry := &corral.Entry[row]{Value: want, LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}
	if err := cache.Set(t.Context(), "key", entry); err != nil {
		t.Fatal(err)
	}
	got, err := cache.Get(t.Context(), "key")
	if err != nil || got == nil || got.Value != want {
		t.Errorf("Get = %+v, %v", got, err)
	}
}

func TestRedisUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	var out bytes.Buffer
	s := &show{options: options{redis: address}, out: &out, open: openPipe}
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "-redis "+address) {
		t.Errorf("error %v, want one that names -redis %s", err, address)
	}
	if out.Len() > 0 {
		t.Errorf("the show began:\n%s", out.String())
	}
}
