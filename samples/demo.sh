#!/bin/bash
# The main job, to watch: a sample counts, is frozen, ended, resumed, and counts on.
#   npm run demo
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
touch "$folder/output"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# Runs a command with its output on the terminal and in $folder/output; sets $counter and $pipeline.
run() {
    : >"$folder/pid"
    # The outer shell keeps to itself that the counter was killed, which is no news here.
    {
        (
            exec 2>&3
            # Descriptors of whoever runs this are connections that no image can carry.
            for descriptor in "/proc/$BASHPID/fd/"*; do
                number=${descriptor##*/}
                if [ "$number" -gt 2 ]; then eval "exec $number>&-"; fi
            done
            echo "$BASHPID" >"$folder/pid"
            exec "$@"
        ) || true
    } 3>&2 2>/dev/null | tee -a "$folder/output" &
    pipeline=$!
    until counter=$(cat "$folder/pid") && [ -n "$counter" ]; do sleep 0.01; done
}

end() {
    if [ -n "${counter-}" ]; then kill "$counter" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap end EXIT

# Waits until the sample has counted that far.
until_counted() {
    until [ "$(tail -n 1 "$folder/output")" -ge "$1" ] 2>/dev/null; do sleep 0.05; done
}

cc -O2 -o "$folder/count" samples/count.c
say '$ ./count'
run "$folder/count"
until_counted 10

say "\$ proc2elf $counter -o count.bin --kill"
node dist/cli/main.js "$counter" -o "$folder/count.bin" --kill
counter=
wait "$pipeline" 2>/dev/null || true
frozen_at=$(tail -n 1 "$folder/output")
say "The process ended at $frozen_at; the image has $(du -k "$folder/count.bin" | cut -f 1) KiB."

say '$ ./count.bin'
run "$folder/count.bin"
until_counted $((frozen_at + 10))
kill "$counter"
counter=
wait "$pipeline" 2>/dev/null || true

last=$(tail -n 1 "$folder/output")
if [ "$(cat "$folder/output")" = "$(seq 1 "$last")" ]; then
    say "Counted from 1 to $last without a gap or a repeat."
else
    say 'The count has a gap or a repeat.'
    exit 1
fi
