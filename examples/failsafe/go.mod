module github.com/corralcache/corral/examples/failsafe

go 1.26.0

require (
	github.com/corralcache/corral v0.0.0
	github.com/failsafe-go/failsafe-go v0.9.6
)

require github.com/bits-and-blooms/bitset v1.24.4 // indirect

replace github.com/corralcache/corral => ../..
