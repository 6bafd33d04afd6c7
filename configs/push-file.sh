#!/bin/sh
# Pushes a file of events to a node with nothing but curl and gzip, for a game server
# that has no library yet, or by hand:
#
#	PF_KEY=pf_… configs/push-file.sh http://127.0.0.1:8080 events.ndjson
#
# The file has one event a line, as /openapi.json of the node describes. Its lines go in
# parts of 5,000. A part is sent again, with the same ids, until the node has it on disk
# or refuses it for good; so the file may be pushed twice, and after any failure. The key
# is read from the environment and handed to curl in a file: other users of the machine
# see command lines.
set -eu

url=${1:?usage: push-file.sh URL FILE}/v1/events
file=${2:?usage: push-file.sh URL FILE}
: "${PF_KEY:?set PF_KEY to the key of the server}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$PF_KEY" >"$work/key")
split -l 5000 "$file" "$work/part."

for part in "$work"/part.*; do
	[ -e "$part" ] || break # the file is empty
	gzip "$part"
	wait=1
	while :; do
		status=$(curl --silent --show-error --config "$work/key" --max-time 60 \
			--header 'Content-Type: application/x-ndjson' --header 'Content-Encoding: gzip' \
			--data-binary "@$part.gz" --output "$work/answer" --write-out '%{http_code}' "$url") || status=000
		case $status in
		200) cat "$work/answer"; break ;;
		000 | 408 | 429 | 5??) # it does not answer, or not now: again, with the same ids
			echo "push-file.sh: $status, again in $wait s" >&2
			sleep "$wait"
			wait=$((wait * 2 > 60 ? 60 : wait * 2)) ;;
		*) cat "$work/answer" >&2; echo >&2; exit 1 ;;
		esac
	done
done
