//go:build race

package testbed

// RaceDetector is on: the program under test takes five to ten times as long.
const RaceDetector = true
