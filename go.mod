module github.com/corralcache/corral

go 1.26.0
