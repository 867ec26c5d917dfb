package sharded

import "strconv"

// Key joins parts into one key such that different lists of parts always give
// different keys: each part is preceded by its length. Key("ab", "c") is
// "2:ab1:c" and Key("a", "bc") is "1:a2:bc".
func Key(parts ...string) string {
	size := 0
	for _, part := range parts {
		size += len(part) + 4
	}
	key := make([]byte, 0, size)
	for _, part := range parts {
		key = strconv.AppendInt(key, int64(len(part)), 10)
		key = append(key, ':')
		key = append(key, part...)
	}
	return string(key)
}
