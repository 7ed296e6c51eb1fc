// Package harness starts real Gowhisk servers for the end-to-end suites and
// talks to them as their users do: over REST, with the admin command, with
// signals. It knows the product only by its command line and its contract, so
// a suite that passes here says something about the released binary.
//
// Nothing here sleeps: servers announce themselves on their standard output,
// and where only the API can tell, Until asks it again until a deadline.
package harness
