//go:build !race

package testbed

// RaceDetector is off.
const RaceDetector = false
