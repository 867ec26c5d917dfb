package redisadapter_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/redisadapter"
)

// telling returns a client of a server in this process that tells its run, and a
// function that has it run anew.
func telling() (client *redis.Client, restart func(), closeAll func()) {
	run := "a"
	mini := miniredis.NewMiniRedis()
	client = redis.NewClient(&redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) { return mini.Dial() }})
	client.Ping(context.Background()) // which starts it
	mini.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if !strings.EqualFold(cmd, "INFO") {
			return false
		}
		p.WriteBulk(fmt.Sprintf("run_id:%s\r\nrole:master\r\nmaster_replid2:%s\r\n", strings.Repeat(run, 40), strings.Repeat("0", 40)))
		return true
	})
	return client, func() { run = "b" }, func() {
		_ = client.Close()
		mini.Close()
	}
}

// After a restart the server is another incarnation, whatever it holds.
func ExampleCache_Incarnation() {
	client, restart, closeAll := telling()
	defer closeAll()
	ctx := context.Background()

	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	first, err := users.Incarnation(ctx)
	fmt.Println(first != "", err)
	again, _ := users.Incarnation(ctx)
	restart()
	later, _ := users.Incarnation(ctx)
	fmt.Println(again == first, later == first)
	// Output:
	// true <nil>
	// true false
}

// Of many nodes one may fail alone: together they have no incarnation.
func ExamplePlainCache_Incarnation() {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:6379"}})
	defer client.Close()
	users := redisadapter.Plain(client, redisadapter.Options[int, User]{Prefix: "user:"})
	id, err := users.Incarnation(context.Background())
	fmt.Printf("%q %v\n", id, err)
	// Output: "" <nil>
}
