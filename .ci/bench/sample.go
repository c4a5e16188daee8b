//go:build unix

package main

import (
	"slices"
	"time"
)

// sample is a number of durations of the same thing.
type sample []time.Duration

func (s sample) percentile(p int) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func (s sample) median() time.Duration { return s.percentile(50) }

// series is what a command took, on the wall and of the processors. cpu is empty where it was
// not measured.
type series struct{ wall, cpu sample }

func (s series) minus(other series) series {
	return series{s.wall.minus(other.wall), s.cpu.minus(other.cpu)}
}

// minus returns the differences of what was measured side by side.
func (s sample) minus(other sample) sample {
	differences := make(sample, len(s))
	for i := range s {
		differences[i] = s[i] - other[i]
	}
	return differences
}

// ratio is the median of the ratios of what was measured side by side.
func (s sample) ratio(other sample) float64 {
	ratios := make([]float64, len(s))
	for i := range s {
		ratios[i] = float64(s[i]) / float64(other[i])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
