//go:build !linux && !darwin && !windows

package store

import "math"

func freeRoom(string) int64 { return math.MaxInt64 }
