package contender

import "context"

// nothing is what the flights of the timed loops run; it is made once.
func nothing(context.Context) (int, error) { return 1, nil }

func nothingAny() (any, error) { return 1, nil }
