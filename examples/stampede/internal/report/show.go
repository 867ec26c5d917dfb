package report

import (
	"errors"
	"io"
)

// Show prints the table that follows from events and nothing else. It returns
// an error that names what is wrong with the record, or which promise the table
// does not keep.
func Show(w io.Writer, events []Event) error {
	run, err := Collect(events)
	if err != nil {
		return err
	}
	table := Compute(run)
	table.Print(w)
	var faults []error
	for _, fault := range append(Check(run), table.Faults()...) {
		faults = append(faults, errors.New(fault))
	}
	return errors.Join(faults...)
}
