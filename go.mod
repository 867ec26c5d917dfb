module github.com/corralcache/corral

go 1.26.0

require (
	github.com/alicebob/miniredis/v2 v2.40.0
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/dchest/siphash v1.2.3
	github.com/dgraph-io/ristretto/v2 v2.2.0
	github.com/guptarohit/asciigraph v0.5.6
	github.com/redis/go-redis/v9 v9.7.3
	go.uber.org/goleak v1.3.0
	golang.org/x/sync v0.11.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/yuin/gopher-lua v1.1.1 // indirect
	golang.org/x/sys v0.31.0 // indirect
)
