#!/bin/sh
# Push one event with curl, to the sidecar (`photofinish forward`) or to a node:
#
#   configs/push.sh '{"type":"kill","player":"ana","target":"rabbit"}'
#   PF_URL=https://eu.example.net PF_KEY_FILE=eu-1.key configs/push.sh '{"type":"heartbeat"}'
#
# The event gets an id and an instant unless it has them, and the same bytes are sent again
# until they are answered for, so it counts once. Exit status 0: it is on disk. 1: it was
# refused, and the answer says why. 2: wrong usage. 3: nobody answered for it within
# PF_TRIES tries (default 10); run the line that is printed to try again.
set -eu

event=${1:-}
case $event in
  '{'*'}') ;;
  *) echo "usage: push.sh '{\"type\":\"kill\",\"player\":\"ana\",\"target\":\"rabbit\"}'" >&2; exit 2 ;;
esac
url=${PF_URL:-http://127.0.0.1:8090}

rest=${event#?}
case $event in
  *'"id":'*) ;;
  *) rest="\"id\":\"$(date -u +%s)-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')\",$rest" ;;
esac
case $event in
  *'"at":'*) ;;
  *)
    # Where date knows no nanoseconds, the event is taken for one of the whole second.
    now=$(date -u +%Y-%m-%dT%H:%M:%S.%N)
    case ${now#*.} in *[!0-9]* | '') now=${now%%.*} ;; esac
    rest="\"at\":\"${now}Z\",$rest" ;;
esac
event="{$rest"

# The key goes through a file that curl reads, not through its arguments, which everybody
# on the machine can read.
header() {
  if [ -n "${PF_KEY_FILE:-}" ]; then
    printf 'Authorization: Bearer %s\n' "$(cat "$PF_KEY_FILE")"
  fi
}

try=0
while [ "$try" -lt "${PF_TRIES:-10}" ]; do
  try=$((try + 1))
  answer=$(header | curl -sS -m 30 -H @- -H 'Content-Type: application/x-ndjson' --data-binary "$event" \
    -w '\n%{http_code}' "$url/v1/events") || answer="
000"
  status=${answer##*
}
  answer=${answer%
*}
  case $status in
    200)
      echo "$answer"
      case $answer in *'"rejected":[]'*) exit 0 ;; *) exit 1 ;; esac ;;
    000 | 408 | 429 | 5??) [ "$try" -ge "${PF_TRIES:-10}" ] || sleep "$try" ;;
    *) echo "$answer" >&2; exit 1 ;;
  esac
done
echo "nobody has answered for it; try again: push.sh '$event'" >&2
exit 3
