#!/usr/bin/env bash
# Three replicas of one store, and what they do when a vendor is suspended and the store's primary dies.
#
# Starts a Redis primary, a follower, a sentinel and three replicas on loopback, in a folder of their own,
# and asks all three all the time whether a customer may be offered a product. Prints a timeline. Takes
# about 40 seconds, removes everything it started, and ends with 0 only if it saw what it promises:
#
# - from ENFORCED on, no check that is sent is answered ELIGIBLE until the suspension is lifted;
# - a change that a store node lacks is not called enforced, though it is in effect at once;
# - every check is answered, whatever is killed.
#
#   deploy/demo/cluster.sh [PATH OF offergate]
#
# Conditions are functions that others are handed by name:
# shellcheck disable=SC2329
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "${1:-target/debug/offergate}")
folder=$(mktemp -d "${TMPDIR:-/tmp}/offergate-demo.XXXXXX")
began=${EPOCHREALTIME/[.,]/}
pids=()
broken=0

# Milliseconds since the start, in $now.
look_at_clock() { now=$(((${EPOCHREALTIME/[.,]/} - began) / 1000)); }

say() {
    look_at_clock
    printf '%3d.%01d s  %s\n' $((now / 1000)) $((now % 1000 / 100)) "$*"
}

promise() { # what; then a condition
    local what=$1
    shift
    if "$@"; then
        say "  as promised: $what"
    else
        say "  BROKEN PROMISE: $what"
        broken=1
    fi
}

give_up() {
    say "gave up: $*"
    exit 1
}

clean_up() {
    trap - EXIT INT TERM
    # By their numbers, and whatever state they are in.
    disown -a
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
    done
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

until_true() { # seconds, what is waited for; then a condition
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || give_up "$what did not come"
        sleep 0.05
    done
}

# Nothing of this shell's settings reaches the programs.
offergate() { env -i PATH="$PATH" USER=demo NO_COLOR=1 "$program" "$@"; }

free_port() { # into $port
    port=$((20000 + RANDOM % 10000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
}

cli() { redis-cli -p "$@" 2>/dev/null; }

answers() { [ "$(cli "$1" PING)" = PONG ]; }

# A node that has a change on disk before it says so: name, port, and more options.
start_node() {
    mkdir -p "$folder/$1"
    redis-server --port "$2" --bind 127.0.0.1 --dir "$folder/$1" --logfile log --save '' \
        --appendonly yes --appendfsync always --maxmemory-policy noeviction \
        --repl-diskless-sync-delay 0 "${@:3}" >/dev/null &
    pids+=($!)
    until_true 10 "node $1" answers "$2"
}

follows() { cli "$1" INFO replication | grep -q 'master_link_status:up'; }

start_sentinel() { # its port, the primary's port
    printf '%s\n' "port $1" "bind 127.0.0.1" "dir $folder" "logfile $folder/sentinel.log" \
        "sentinel monitor main 127.0.0.1 $2 1" "sentinel down-after-milliseconds main 2000" \
        "sentinel failover-timeout main 5000" >"$folder/sentinel.conf"
    redis-server "$folder/sentinel.conf" --sentinel >/dev/null &
    pids+=($!)
    until_true 10 "the sentinel" answers "$1"
}

knows_follower() { cli "$1" SENTINEL MASTER main | grep -A1 -x num-slaves | grep -qx 1; }

primary_is() { cli "$1" SENTINEL GET-MASTER-ADDR-BY-NAME main | grep -qx "$2"; }

servers=()
start_replica() { # name, sentinel's port
    local out=$folder/$1.out
    env -i PATH="$PATH" RUST_LOG=error OFFERGATE_ANONYMOUS=everything "$program" serve --replica "$1" \
        --store "redis+sentinel://127.0.0.1:$2/main" --store-nodes 2 --begin-history \
        --journal "$folder/$1.journal" --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 \
        --workers 1 >"$out" 2>"$folder/$1.log" &
    pids+=($!)
    until_true 15 "replica $1" grep -q '^management' "$out"
    servers+=("$(sed -n 's/^listening on //p' "$out")")
}

# Asks one replica over and over: may a new customer be offered the product? Notes when each check was
# sent, when it was answered, and what.
ask_on_and_on() { # name, address
    local sent outcome
    while :; do
        look_at_clock
        sent=$now
        outcome=$(offergate check --server "$2" --customer c-1 --offer avast-12m --action OFFER \
            --country GB --holding NONE --date-of-birth 1985-04-12 --attribute online_banking=true \
            --channel WEB 2>/dev/null | head -n 1) || outcome=UNANSWERED
        look_at_clock
        echo "$sent $now $1 ${outcome%% *}" >>"$folder/checks"
    done
}

# Every second, what the checks of that second were answered.
tell_on_and_on() {
    local from counts
    while :; do
        look_at_clock
        from=$now
        sleep 1
        counts=$(awk -v from="$from" '$2 >= from {count[$4]++}
            END {for (kind in count) printf "  %s %d", kind, count[kind]}' "$folder/checks")
        say "    checks:${counts:-  none}"
    done
}

# How many checks were sent and answered between two instants with this outcome; any outcome for `.`.
count() { # outcome, from, to
    awk -v kind="$1" -v from="$2" -v to="$3" \
        '$1 > from && $2 < to && $4 ~ kind {n++} END {print n + 0}' "$folder/checks"
}

none() { [ "$(count "$@")" = 0 ]; }
some() { [ "$(count "$@")" != 0 ]; }

# Runs a command under the name of a request, again and again while the store is away, so that it is done
# once. What it prints is in $folder/NAME.told, what it says in NAME.said, its exit code in $code.
run() {
    local id=$1 tries=0
    shift
    while :; do
        code=0
        offergate "$@" --server "${servers[0]}" --request-id "$id" \
            >"$folder/$id.told" 2>"$folder/$id.said" || code=$?
        [ "$code" = 5 ] && [ "$tries" -lt 40 ] || break
        tries=$((tries + 1))
        sleep 0.25
    done
    if [ "$tries" -gt 0 ]; then say "  (sent $((tries + 1)) times, as the store was away)"; fi
}

# The number of the change that a command has proposed.
proposed() { grep -Eo '"id": ?[0-9]+' "$folder/$1.told" | head -n 1 | tr -dc 0-9; }

# Has one person propose a change and another one approve it, and says how that ended: name of the request,
# how long to wait, then the command. The exit code of the approval is in $code.
change() {
    local id=$1 wait=$2 said=$folder/$1.said
    shift 2
    run "$id.proposed" "$@" --reason Demonstration --ticket DEMO-2 -o json
    [ "$code" = 0 ] || give_up "the change was not proposed: $(tail -n 3 "$folder/$id.proposed.said")"
    run "$id" approve "$(proposed "$id.proposed")" --author another "--wait=$wait"
    say "  $(grep -Eo '(not known to be )?enforced (on|after) .*' "$said" || tail -n 3 "$said")"
}

is() { [ "$1" = "$2" ]; }

[ -x "$program" ] || give_up "$program is not there; run \`cargo build\` first"

free_port; first=$port
start_node first "$first"
first_pid=${pids[-1]}
free_port; second=$port
start_node second "$second" --replicaof 127.0.0.1 "$first"
until_true 10 "the follower in step" follows "$second"
free_port; sentinel=$port
start_sentinel "$sentinel" "$first"
until_true 15 "a sentinel that knows the follower" knows_follower "$sentinel"
say "a Redis primary, a follower, and a sentinel that gives up a primary after 2 s"
for name in r1 r2 r3; do start_replica "$name" "$sentinel"; done
say "three replicas: ${servers[*]}"
run rules.proposed apply deploy/demo/barclays.rules.yaml --quiet -o json
run rules approve "$(proposed rules.proposed)" --author another --wait=20s --quiet
is "$code" 0 || give_up "the rules were not enforced"
say "the Barclays rules are in effect on all of them; now checks go to each, all the time"
: >"$folder/checks"
for place in 0 1 2; do
    ask_on_and_on "r$((place + 1))" "${servers[place]}" &
    pids+=($!)
done
tell_on_and_on &
pids+=($!)
sleep 3

say "SUSPEND the vendor avast-software"
change demo-suspend 20s suspend vendor avast-software --id demo-1
look_at_clock; enforced=$now
promise "it is enforced" is "$code" 0
sleep 3
say "LIFT it"
look_at_clock; lifting=$now
promise "no check sent since was answered ELIGIBLE" none '^ELIGIBLE' "$enforced" "$lifting"
promise "they were answered INELIGIBLE" some '^INELIGIBLE' "$enforced" "$lifting"
change demo-lift 20s lift demo-1
look_at_clock; lifted=$now
promise "it is enforced" is "$code" 0
sleep 2
look_at_clock
promise "checks are ELIGIBLE again" some '^ELIGIBLE' "$lifted" "$now"

say "KILL the primary (kill -9)"
look_at_clock; killed=$now
kill -KILL "$first_pid"
wait "$first_pid" 2>/dev/null || true
until_true 30 "a fail-over" primary_is "$sentinel" "$second"
say "the sentinel has promoted the follower"
say "SUSPEND the vendor again, with a store node missing"
change demo-again 3s suspend vendor avast-software --id demo-2
look_at_clock; suspended=$now
promise "a change that one of two store nodes has is not called enforced" is "$code" 6
sleep 1
look_at_clock
promise "and it is in effect all the same" some '^INELIGIBLE' "$suspended" "$now"

say "START the killed node again, to follow the new primary"
start_node first "$first" --replicaof 127.0.0.1 "$second"
code=0
offergate replicas await --request-id demo-again --wait 30s --server "${servers[1]}" \
    >/dev/null 2>"$folder/await.said" || code=$?
look_at_clock; enforced=$now
say "  asked of another replica: $(grep -Eo '(not known to be )?enforced .*' "$folder/await.said")"
promise "now it is enforced" is "$code" 0
sleep 2
look_at_clock; ended=$now
promise "no check sent since was answered ELIGIBLE" none '^ELIGIBLE' "$enforced" "$ended"
promise "every check was answered" none UNANSWERED 0 "$ended"
say "from the kill to the end, $(count . "$killed" "$ended") checks were answered, \
$(count INDETERMINATE "$killed" "$ended") of them INDETERMINATE"
exit "$broken"
