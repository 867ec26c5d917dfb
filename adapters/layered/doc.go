// Package layered makes one [corral.Cache] of two: a near one in this process's
// memory and a far one that processes share.
package layered
