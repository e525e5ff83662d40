# What the starters share. Sourced by them, after `set -euo pipefail`.

name=$(basename "$0")
die() { echo "$name: $*" >&2; exit 1; }

case ${1-} in
  '' | *[!0-9]*) die "give me a port" ;;
esac
port=$1
child=

# Works in a new directory, which goes when the script ends, together with what `run` started.
start_in_own_directory() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-$name.XXXXXX")
  trap clean_up EXIT
  trap 'exit 0' HUP INT TERM
  cd "$work"
}

# Starts the server in a process group of its own, so that its workers end with it.
run() {
  set -m
  "$@" >"$work/server.log" 2>&1 </dev/null &
  child=$!
  set +m
}

serve_until_stdin_ends() {
  local url=$1 deadline=$((SECONDS + 60))
  until curl -fsS -o /dev/null --max-time 10 "$url" 2>/dev/null; do
    kill -0 "$child" 2>/dev/null || { cat "$work/server.log" >&2; die "it ended while starting"; }
    [ "$SECONDS" -lt "$deadline" ] || { cat "$work/server.log" >&2; die "not ready within a minute"; }
    sleep 0.1
  done
  echo "ready $url"
  # `read` rather than `cat`: a trap runs at once.
  while read -r _; do :; done
}

clean_up() {
  if [ -n "$child" ]; then
    kill -TERM -- "-$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    kill -KILL -- "-$child" 2>/dev/null || true
  fi
  cd /
  rm -rf "$work"
}
