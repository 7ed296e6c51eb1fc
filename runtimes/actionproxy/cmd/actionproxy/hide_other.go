//go:build !linux

package main

// hide is for images, which run on Linux.
func hide() {}
