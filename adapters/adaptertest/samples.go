package adaptertest

import (
	"fmt"
	"math"
	"reflect"
	"strings"
)

// numbered returns a function that makes a different T for each number, or nil
// if T is no simple type. Text starts with the same word, so that keys cut to a
// length meet.
func numbered[T any](word string) func(n int) T {
	t := reflect.TypeFor[T]()
	switch {
	case t.Kind() == reflect.String || isBytes(t):
		return func(n int) T { return fromText[T](fmt.Sprintf("%s-%08d", word, n)) }
	case isInteger(t) && t.Size() > 1:
		return func(n int) T { return fromInt[T](int64(n)) }
	}
	return nil
}

// odd returns the values of a simple type that adapters trip over.
func odd[T any]() []T {
	t := reflect.TypeFor[T]()
	var all []T
	switch {
	case t.Kind() == reflect.String || isBytes(t):
		for _, text := range oddTexts() {
			all = append(all, fromText[T](text))
		}
	case isInteger(t):
		for _, n := range oddInts(t) {
			all = append(all, fromInt[T](n))
		}
	}
	return all
}

// oddTexts are empty, binary, very long, prefixes of each other, equal but for
// case or space, syntax to some layer below, or somebody's reserved value.
func oddTexts() []string {
	return []string{
		"", " ", "\x00", "a", "A", "a ", " a", "a\x00", "a\x00b", "a:", "a:b", "a::b", "a b", "a,b", "a\n", "a\r\nb",
		"ab", "\xff\xfe", "\xc3\x28", "é", "e\u0301", "日本", "{a}", "{}", "}{", "{", "*", "%s", "%00", "../a", "'", `"`, `\`,
		"0", "00", "1", "-1", "nil", "null", "<nil>", "false", "NaN", "absent", "not found", "__nil__",
		strings.Repeat("k", 300), strings.Repeat("k", 301),
	}
}

func oddInts(t reflect.Type) []int64 {
	if t.Kind() >= reflect.Uint {
		return []int64{0, 1, 10, 11, 100, 101, 1 << (8*min(t.Size(), 4) - 1)}
	}
	least := int64(math.MinInt64) >> (64 - 8*t.Size())
	return []int64{0, 1, -1, 10, 11, -10, 100, 101, least, -1 - least}
}

func isInteger(t reflect.Type) bool {
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem() == reflect.TypeFor[byte]()
}

func fromText[T any](text string) T {
	return reflect.ValueOf(text).Convert(reflect.TypeFor[T]()).Interface().(T)
}

func fromInt[T any](n int64) T {
	return reflect.ValueOf(n).Convert(reflect.TypeFor[T]()).Interface().(T)
}
