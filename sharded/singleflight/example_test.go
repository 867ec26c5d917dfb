package singleflight_test

import (
	"fmt"

	"github.com/corralcache/corral/sharded/singleflight"
)

func ExampleGroup_Do() {
	var g singleflight.Group
	v, err, shared := g.Do("user 7", func() (any, error) { return "Ada", nil })
	fmt.Println(v, err, shared)
	// Output: Ada <nil> false
}

func ExampleGroup_DoChan() {
	var g singleflight.Group
	ready := make(chan struct{})
	first := g.DoChan("user 7", func() (any, error) { <-ready; return "Ada", nil })
	second := g.DoChan("user 7", func() (any, error) { return "is not called", nil })
	close(ready)
	fmt.Println(<-first)
	fmt.Println(<-second)
	// Output:
	// {Ada <nil> true}
	// {Ada <nil> true}
}

func ExampleGroup_Forget() {
	var g singleflight.Group
	ready := make(chan struct{})
	old := g.DoChan("user 7", func() (any, error) { <-ready; return "Ada", nil })
	g.Forget("user 7") // say, because the user was just renamed
	v, _, _ := g.Do("user 7", func() (any, error) { return "Augusta Ada", nil })
	close(ready)
	fmt.Println(v)
	fmt.Println((<-old).Val)
	// Output:
	// Augusta Ada
	// Ada
}
