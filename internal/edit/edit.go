// Package edit counts the slips of the finger that make one word of another, for suggestions.
package edit

import "slices"

// Distance counts the characters to insert, delete, replace or swap with a neighbour that make
// b of a (optimal string alignment). It gives up at limit and returns that.
func Distance(a, b string, limit int) int { return distance(a, b, limit, false) }

// DistanceOfPattern does so for a pattern: a "*" in it matches any run of characters for free.
func DistanceOfPattern(pattern, s string, limit int) int { return distance(pattern, s, limit, true) }

func distance(from, to string, limit int, stars bool) int {
	a, b := []rune(from), []rune(to)
	stars = stars && slices.Contains(a, '*')
	if !stars && (len(a) >= len(b)+limit || len(b) >= len(a)+limit) {
		return limit
	}
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		star := stars && a[i-1] == '*'
		row[0] = last[0] + 1
		if star {
			row[0] = last[0]
		}
		for j := 1; j <= len(b); j++ {
			if star {
				row[j] = min(last[j], row[j-1])
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return min(last[len(b)], limit)
}
