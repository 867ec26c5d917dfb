package redistest

import (
	"math/rand/v2"
	"time"
)

// Pause waits for a time between two bounds; false if over is closed before.
func Pause(over <-chan struct{}, least, most time.Duration) bool {
	timer := time.NewTimer(least + rand.N(most-least))
	defer timer.Stop()
	select {
	case <-over:
		return false
	case <-timer.C:
		return true
	}
}

// Metronome tells until over is closed how far the machine is behind: what a caller
// waits because nobody runs is nobody's doing.
func Metronome(over <-chan struct{}, behind func(late time.Duration)) {
	const beat = 10 * time.Millisecond
	for last := time.Now(); Pause(over, beat, beat+1); last = time.Now() {
		behind(time.Since(last) - beat)
	}
}
