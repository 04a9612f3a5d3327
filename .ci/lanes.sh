# What the scripts of this folder share: the lanes, their minimum counts and limits, and how a run is counted.
# Source it; it changes to the repository's root.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_UI_LANGUAGE=en DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1

# lane         passed tests it must have at least, minutes it may take
LANES="
suite          3170 30
isa-avx512     1300 10
isa-avx2       1300 10
isa-vector128  1300 10
isa-scalar     1250 40
isa-advsimd    480 20
opencl         500 20
ptx            4 20
races          24 15
publish        2 10
"

LOGS=artifacts/ci
COUNTS=$LOGS/counts
TESTS=tests/GroupViT.Tests/bin/Release/net10.0/GroupViT.Tests.dll

lane_minimum() { awk -v l="$1" '$1 == l { print $2 }' <<<"$LANES"; }
lane_minutes() { awk -v l="$1" '$1 == l { print $3 }' <<<"$LANES"; }
say() { printf '== %s\n' "$*"; }

# record LANE PASSED FAILED SKIPPED: the lane's line in the total; returns 1 when anything failed.
record() {
    mkdir -p "$COUNTS"
    echo "$1 $2 $3 $4" >"$COUNTS/$1"
    say "$1: $2 passed, $3 failed, $4 skipped"
    [ "$3" -eq 0 ]
}

# lane_failed LANE REASON [PASSED FAILED SKIPPED]: a lane that is red for a reason of its own counts as one failure.
lane_failed() {
    say "$1 FAILED: $2"
    if [ -f "$LOGS/$1.log" ]; then
        say "the end of $LOGS/$1.log:"
        tail -n 60 "$LOGS/$1.log"
    fi
    local failed=${4:-0}
    [ "$failed" -gt 0 ] || failed=1
    record "$1" "${3:-0}" "$failed" "${5:-0}" || return 1
}

# lane_cannot_start LANE REASON: red, unless ALLOW_SKIP (comma-separated) names the lane.
lane_cannot_start() {
    if [[ ",${ALLOW_SKIP:-}," == *",$1,"* ]]; then
        say "$1 skipped (ALLOW_SKIP): $2"
        record "$1" 0 0 1
    else
        lane_failed "$1" "could not start: $2 (ALLOW_SKIP=$1 would allow that)"
    fi
}

# lane_absent LANE REASON: what the lane is about is not in this machine, as a device may not be: one skipped, by name.
lane_absent() {
    say "$1 skipped: $2"
    record "$1" 0 0 1
}

# summary FILE: 'total failed succeeded skipped' of the test runner's only summary in FILE; nothing when there is not
# exactly one, when a number is missing, or when the numbers do not add up.
summary() {
    sed 's/\x1b\[[0-9;]*[A-Za-z]//g; s/\r$//' "$1" | awk '
        /^Test run summary:/ { runs++; inside = 1; delete n; next }
        inside && /^  (total|failed|succeeded|skipped): [0-9]+$/ { sub(":", "", $1); n[$1] = $2; seen[$1]++ }
        END {
            if (runs != 1) exit
            for (k in seen) { if (seen[k] != 1) exit; kinds++ }
            if (kinds == 4 && n["failed"] + n["succeeded"] + n["skipped"] == n["total"])
                print n["total"], n["failed"], n["succeeded"], n["skipped"]
        }'
}

# run_lane LANE COMMAND...: runs a test command within the lane's time, counts it, and holds it to the minimum.
run_lane() {
    local lane=$1 code=0 started=$SECONDS minimum minutes numbers
    shift
    minimum=$(lane_minimum "$lane") minutes=$(lane_minutes "$lane")
    if [ -z "$minimum" ] || [ -z "$minutes" ]; then
        lane_failed "$lane" "has no line in the table of .ci/lanes.sh"
        return 1
    fi
    mkdir -p "$LOGS"
    say "$lane: $*"
    timeout --kill-after=30 "${minutes}m" "$@" >"$LOGS/$lane.log" 2>&1 </dev/null || code=$?
    say "$lane: ended with $code after $((SECONDS - started)) s"
    if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then
        lane_failed "$lane" "still running after $minutes minutes, or killed"
        return 1
    fi
    numbers=$(summary "$LOGS/$lane.log")
    if [ -z "$numbers" ]; then
        lane_failed "$lane" "its output has no readable summary (exit code $code)"
        return 1
    fi
    local failed passed skipped
    read -r _ failed passed skipped <<<"$numbers"
    if [ "$failed" -gt 0 ]; then
        lane_failed "$lane" "$failed tests failed" "$passed" "$failed" "$skipped"
    elif [ "$passed" -lt "$minimum" ]; then
        lane_failed "$lane" "$passed tests passed, at least $minimum must" "$passed" 0 "$skipped"
    elif [ "$code" -ne 0 ]; then
        lane_failed "$lane" "exit code $code although no test failed" "$passed" 0 "$skipped"
    else
        record "$lane" "$passed" 0 "$skipped"
    fi
}

# require_tests LANE: the built tests are there.
require_tests() {
    [ -f "$TESTS" ] || { lane_cannot_start "$1" "$TESTS is missing: run dotnet build -c Release"; return 1; }
}
