// Command build builds the Vault test server into the folder of test
// dependencies, unless it is already there, and prints its path:
//
//	go run ./internal/vaultserver/build
//
// It takes some minutes the first time, so the test command runs it before the
// tests, whose own time limit would otherwise have to cover it.
package main

import (
	"fmt"
	"os"

	"github.com/mcpfirewall/mcpfirewall/internal/vaultserver"
)

func main() {
	path, err := vaultserver.Build(os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "building the Vault test server:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
