package entity

// Megabytes is a memory or log size in units of 2^20 bytes.
type Megabytes int64

// Bytes returns the size in bytes.
func (m Megabytes) Bytes() int64 { return int64(m) << 20 }
