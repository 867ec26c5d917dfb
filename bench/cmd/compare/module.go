package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
)

// moduleRoot is the directory of this module: the working directory, or one above.
func moduleRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

// profiled runs f, and writes a profile of it if a file is named.
func profiled(file string, f func()) error {
	if file == "" {
		f()
		return nil
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	f()
	pprof.StopCPUProfile()
	return nil
}
