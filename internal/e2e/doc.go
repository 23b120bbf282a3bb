// Package e2e drives the built mcpfirewall from outside, as its users do: the official conformance suite, real clients
// and real servers on either side of the real binary.
//
// What it drives is installed by test/setup.sh, which `make test` calls first, into $MCPFIREWALL_TESTDEPS (default:
// mcpfirewall-test in the user's cache folder). A test whose part is not there skips and says which.
package e2e
