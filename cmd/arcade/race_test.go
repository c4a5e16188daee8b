//go:build race

package main

// raceDetector is on: the program under test takes five to ten times as long.
const raceDetector = true
