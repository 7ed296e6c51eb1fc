package runtimes

// What containers of this project's images and the platform that starts them say
// to each other beside the contract of the runtime protocol.
const (
	// LogMarkHeader is a header of /init. Its value follows the log sentinels
	// from then on, so that user code, which does not know it, cannot print one.
	LogMarkHeader = "X-Gowhisk-Log-Mark"

	// LogQuietHeader is a header of answers, if LogMarkHeader came with /init and
	// one activation runs at a time. It lists, with a space between them, the
	// streams, stdout or stderr, on which the activation printed nothing and no
	// sentinel comes.
	LogQuietHeader = "X-Gowhisk-Log-Quiet"

	// ProxyLabel, with the value "1", is on images whose proxy knows
	// LogMarkHeader and LogQuietHeader.
	ProxyLabel = "org.gowhisk.proxy"

	// ScratchLabel is on images that run with a read-only root. It lists, with
	// spaces between them, the directories that must be writable.
	ScratchLabel = "org.gowhisk.scratch"
)
