package redisadapter

import "crypto/rand"

// news is how the processes that share a prefix tell each other what happened to
// a key. Both channels begin with the prefix, so that a user's rights to them are
// given by the pattern that fits the keys, and no two prefixes share one: what
// follows the prefix is no end of what follows another.
type news struct {
	ended   string // a lease ended; the message is the key's text
	written string // a Set or Delete; the message is the author and the key's text
	author  string // this cache
}

func newNews(prefix, kind string) news {
	return news{
		ended:   prefix + ":" + kind + "leases",
		written: prefix + ":" + kind + "writes",
		author:  rand.Text(),
	}
}

// message is what others hear of a write.
func (n news) message(p place) string { return n.author + p.text }

// read takes a message apart; ok is false for what is none.
func (n news) read(message string) (author, text string, ok bool) {
	if len(message) < len(n.author) {
		return "", "", false
	}
	return message[:len(n.author)], message[len(n.author):], true
}
