package bytestore_test

import (
	"crypto/md5"
	"crypto/sha256"
	"hash/fnv"
	"testing"
)

// BenchmarkDigest is why the digest is SHA-256: of the digests of 128 bits and
// more in the standard library that are the same in every process, the strong
// one is no slower.
func BenchmarkDigest(b *testing.B) {
	key := []byte("users:{0123456789012345678901234567}")
	for name, sum := range map[string]func() []byte{
		"sha256": func() []byte { s := sha256.Sum256(key); return s[:] },
		"md5":    func() []byte { s := md5.Sum(key); return s[:] },
		"fnv": func() []byte {
			h := fnv.New128a()
			_, _ = h.Write(key)
			return h.Sum(nil)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sum()
			}
		})
	}
}
