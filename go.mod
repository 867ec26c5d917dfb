module github.com/corralcache/corral

go 1.26.0

require golang.org/x/sync v0.11.0 // indirect
