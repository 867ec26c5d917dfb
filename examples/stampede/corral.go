package main

// until the Loader is there
func newCorral(load loadFunc, broken, redis string) (setUp, error) { return newByHand(load) }
