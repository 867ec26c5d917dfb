package redisadapter

import (
	"strconv"
	"strings"
	"sync"
)

// plainLease returns the key of the lease of a plain key, which is written as its
// user chose. It is in the same hash slot, no two keys share one, and it is not
// the name of another value: it begins with another letter than the key, so
// with another one than the prefix of the cache. Without a prefix that is all
// there is to keep them apart.
//
// What chooses the slot comes first, in braces. That is what chooses it in the
// key itself, the key as a whole, or where that holds a brace which would end
// it early, a short text that happens to choose the same slot.
func plainLease(name string) string {
	kind := "corral"
	if strings.HasPrefix(name, "c") {
		kind = "lease"
	}
	tag, whole := hashTag(name)
	switch {
	case !whole:
		return kind + "{" + tag + "}:" + name
	case name != "" && !strings.Contains(name, "}"):
		return kind + "{" + name + "}"
	default:
		return kind + "{" + tagOf(slotOf(name)) + "}:" + name
	}
}

const slots = 1 << 14

// hashTag returns what a Cluster hashes of a key: what stands between the first {
// and the first } after it, or the key as a whole if there is no such pair or
// nothing in it.
func hashTag(key string) (tag string, whole bool) {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, found := strings.Cut(rest, "}"); found && tag != "" {
			return tag, false
		}
	}
	return key, true
}

// slotOf returns the hash slot of a key: CRC-16/XMODEM, as the Redis Cluster
// specification has it.
func slotOf(key string) uint16 {
	tag, _ := hashTag(key)
	var crc uint16
	for i := range len(tag) {
		crc = crc<<8 ^ crcTable()[byte(crc>>8)^tag[i]]
	}
	return crc % slots
}

var crcTable = sync.OnceValue(func() *[256]uint16 {
	var table [256]uint16
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		table[i] = crc
	}
	return &table
})

// tagOf returns a text without braces, at most 4 letters and digits, that
// chooses slot.
func tagOf(slot uint16) string { return tag(tagTable()[slot]) }

func tag(n uint32) string { return strconv.FormatUint(uint64(n), 36) }

// tagTable holds for each slot the first number whose text chooses it. It takes
// 64 KiB, and some 15 ms when it is first asked for, by a key with odd braces.
var tagTable = sync.OnceValue(func() *[slots]uint32 {
	var table [slots]uint32
	for n, left := uint32(1), slots; left > 0; n++ {
		if slot := slotOf(tag(n)); table[slot] == 0 {
			table[slot] = n
			left--
		}
	}
	return &table
})
