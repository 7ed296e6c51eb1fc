package balancer

import "unicode/utf16"

// javaHash is Java's String.hashCode: by it OpenWhisk chooses, and so do we, which
// invokers an action is at home on (openwhisk-invoker.md 5.3).
func javaHash(s string) int32 {
	var h int32
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return javaHashOf(s)
		}
		h = 31*h + int32(s[i])
	}
	return h
}

func javaHashOf(s string) int32 {
	var h int32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(unit)
	}
	return h
}

// home is the hash by which a namespace's activations of an action are placed. Unlike
// Java's Math.abs it is never negative.
func home(namespace, action string) int {
	h := int64(javaHash(namespace) ^ javaHash(action))
	if h < 0 {
		h = -h
	}
	return int(h)
}

// steps returns the numbers from 1 to size that are coprime to size and to each other:
// with one of them as its step, a walk around size places visits each of them.
func steps(size int) []int {
	var chosen []int
	for n := 1; n <= size; n++ {
		fits := gcd(n, size) == 1
		for _, c := range chosen {
			fits = fits && gcd(n, c) == 1
		}
		if fits {
			chosen = append(chosen, n)
		}
	}
	if len(chosen) == 0 {
		return []int{1}
	}
	return chosen
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
