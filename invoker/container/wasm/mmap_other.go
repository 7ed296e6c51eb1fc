//go:build !linux

package wasm

const mapNoReserve = 0
