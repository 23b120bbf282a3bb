#!/usr/bin/env bash
# setup.sh installs what the end-to-end tests drive: Node.js 22, the official conformance suite, real MCP servers and
# clients from npm, the reference server of the Go SDK, a real Vault server, PostgreSQL and GNOME Keyring. It needs Go,
# Node.js with npm, and the network the first time; what is there already is left alone, so that a second run takes less
# than a second.
#
# Everything goes to $MCPFIREWALL_TESTDEPS (default: mcpfirewall-test in the user's cache folder), where the tests look
# for it. A part that cannot be installed is said, the others are installed all the same, and the tests that need the
# missing one skip and say so. The exit status is then still 0, unless MCPFIREWALL_TESTDEPS_REQUIRED=1 is set.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

reference=github.com/modelcontextprotocol/go-sdk/conformance/everything-server
reference_version=v1.8.0

if [ -z "${MCPFIREWALL_TESTDEPS:-}" ]; then
  case $(uname -s) in
  Darwin) MCPFIREWALL_TESTDEPS=$HOME/Library/Caches/mcpfirewall-test ;;
  *) MCPFIREWALL_TESTDEPS=${XDG_CACHE_HOME:-$HOME/.cache}/mcpfirewall-test ;;
  esac
fi
export MCPFIREWALL_TESTDEPS
mkdir -p "$MCPFIREWALL_TESTDEPS/npm" "$MCPFIREWALL_TESTDEPS/bin" || exit 1

missing=()
part() { # part NAME COMMAND...: runs COMMAND, and says what is missing when it fails.
  local name=$1
  shift
  "$@" && return
  missing+=("$name")
  echo "setup: $name could not be installed; the tests that need it will skip" >&2
}

# Each folder of test/npm is a manifest with its lockfile. A copy of the lockfile, written last, is the proof that the
# installation was completed and from which lockfile.
npm_part() {
  local dir=$MCPFIREWALL_TESTDEPS/npm/$1
  cmp -s "test/npm/$1/package-lock.json" "$dir/installed.json" && return
  echo "setup: npm $1" >&2
  command -v npm >/dev/null || { echo "setup: npm is not installed" >&2; return 1; }
  mkdir -p "$dir" && rm -f "$dir/installed.json" &&
    cp "test/npm/$1/package.json" "test/npm/$1/package-lock.json" "$dir/" &&
    (cd "$dir" && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error) &&
    cp "test/npm/$1/package-lock.json" "$dir/installed.json"
}

go_part() {
  local bin=$MCPFIREWALL_TESTDEPS/bin/${reference##*/}
  go version -m "$bin" 2>/dev/null | grep -q "	mod	.*	$reference_version	" && return
  echo "setup: $reference@$reference_version" >&2
  # Outside of the module, so that its go.mod stays as it is.
  (cd "$MCPFIREWALL_TESTDEPS" && GOBIN=$MCPFIREWALL_TESTDEPS/bin go install "$reference@$reference_version")
}

vault_part() {
  [ -d internal/vaultserver/build ] || return 0
  go run ./internal/vaultserver/build >&2
}

# What Debian has: a database for Vault's dynamic credentials, and a keychain. Only root can install it; elsewhere the
# tests take what is installed.
debian_part() { # debian_part PROGRAM PACKAGE...: installs the packages unless the program is there.
  local program=$1
  shift
  command -v "$program" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$program" >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "setup: $program is not installed" >&2; return 1; }
  echo "setup: apt-get install $*" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null
}

for dir in test/npm/*/; do
  part "npm $(basename "$dir")" npm_part "$(basename "$dir")"
done
part "reference server" go_part
part "vault server" vault_part
part "postgresql" debian_part initdb postgresql postgresql-client
if [ "$(uname -s)" = Linux ]; then part "gnome keyring" debian_part gnome-keyring-daemon dbus gnome-keyring libsecret-tools; fi

if [ ${#missing[@]} -gt 0 ]; then
  printf 'setup: MISSING: %s\n' "${missing[@]}" >&2
  [ "${MCPFIREWALL_TESTDEPS_REQUIRED:-}" != 1 ] || exit 1
fi
exit 0
