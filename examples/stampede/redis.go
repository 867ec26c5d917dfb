package main

import (
	"errors"

	"github.com/corralcache/corral"
)

func openRedis(address string) (corral.Cache[string, row], func(), error) {
	return nil, nil, errors.New("later")
}
