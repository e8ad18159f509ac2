#!/bin/sh
# Requests per second through our proxy and through nginx, in front of the same upstream.
#
# usage: bench/proxy.sh [SECONDS-PER-RUN [ROUNDS [CONNECTIONS]]]
#
# The upstream is nginx answering 200 from memory on a unix socket. Both proxies have two workers
# and keep connections alive on both sides. The runs alternate, so that a change of the machine's
# mood meets both. Printed last: the ratio of the medians and the processor time per request.
# Needs wrk and nginx (Debian: apt install wrk nginx-light).
set -eu
# Debian keeps servers where an ordinary user does not look.
PATH=$PATH:/usr/sbin:/sbin
seconds=${1:-5} rounds=${2:-5} connections=${3:-32}
root=$(cd "$(dirname "$0")/.." && pwd)
for program in wrk nginx; do
    command -v "$program" >/dev/null || { echo "needs $program: apt install wrk nginx-light" >&2; exit 69; }
done
work=$(mktemp -d "${BENCH_DIRECTORY:-/var/tmp}/proxy.XXXXXX")
pids=
cleanup() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT INT TERM

# Beside the release build, if somebody named it.
target=${CARGO_TARGET_DIR:-$root/target}
[ -z "${SKEP:-}" ] || target=$(cd "$(dirname "$SKEP")/.." && pwd)
CARGO_TARGET_DIR=$target cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p proxy --example standalone
ours=127.0.0.1:18480 theirs=127.0.0.1:18481

common="daemon off; error_log $work/error.log crit; worker_rlimit_nofile 8192;"
events='events { worker_connections 4096; }'
cat >"$work/upstream.conf" <<CONF
$common pid $work/upstream.pid; worker_processes 1; $events
http { access_log off; keepalive_requests 1000000000;
  server { listen unix:$work/upstream.sock; location / { return 200 "hello, this is a small answer\n"; } } }
CONF
cat >"$work/peer.conf" <<CONF
$common pid $work/peer.pid; worker_processes 2; $events
http { access_log off; keepalive_requests 1000000000;
  upstream app { server unix:$work/upstream.sock; keepalive 64; keepalive_requests 1000000000; }
  server { listen $theirs;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host \$http_host; proxy_set_header X-Request-Id \$request_id;
      proxy_set_header X-Forwarded-For \$remote_addr; proxy_set_header X-Forwarded-Proto \$scheme; } } }
CONF
chmod 755 "$work"
nginx -p "$work" -c "$work/upstream.conf" & pids="$pids $!"
nginx -p "$work" -c "$work/peer.conf" & peer=$!; pids="$pids $peer"
until [ -S "$work/upstream.sock" ]; do kill -0 "$peer"; done
chmod 666 "$work/upstream.sock"
"$target/release/examples/standalone" "$ours" "$work/upstream.sock" 2 >"$work/ready" 2>"$work/log" &
proxy=$!; pids="$pids $proxy"
until grep -q ready "$work/ready"; do kill -0 "$proxy"; done
until curl -fs "http://$theirs/" >/dev/null 2>&1; do kill -0 "$peer"; done

# Processor time of a process and its children so far, in clock ticks.
ticks() {
    total=0
    for pid in $1 $(cat "/proc/$1/task/$1/children"); do
        total=$((total + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
    done
    echo $total
}
# Prints requests per second, processor microseconds a request, and errors.
run() {
    before=$(ticks "$2")
    wrk -t 1 -c "$connections" -d "${seconds}s" "http://$1/" >"$work/wrk"
    after=$(ticks "$2")
    requests=$(awk '/requests in/ { print $1 }' "$work/wrk")
    rate=$(awk '/Requests\/sec/ { print $2 }' "$work/wrk")
    errors=$(awk '/Socket errors|Non-2xx/ { print }' "$work/wrk" | tr '\n' ' ')
    cost=$(awk "BEGIN { print ($after - $before) * 1e6 / $(getconf CLK_TCK) / $requests }")
    echo "$rate $cost $errors"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "$(nproc) cores · load average $(cut -d ' ' -f 1-3 /proc/loadavg)"
run "$ours" "$proxy" >/dev/null; run "$theirs" "$peer" >/dev/null
for round in $(seq "$rounds"); do
    a=$(run "$ours" "$proxy"); b=$(run "$theirs" "$peer")
    echo "$a" >>"$work/ours"; echo "$b" >>"$work/theirs"
    echo "round $round: proxy $a | nginx $b"
done
field() { awk "{ print \$$2 }" "$work/$1" | median; }
awk "BEGIN {
    printf \"requests/s: proxy %.0f, nginx %.0f, ratio %.2f\n\", $(field ours 1), $(field theirs 1), $(field ours 1) / $(field theirs 1)
    printf \"processor us/request: proxy %.1f, nginx %.1f, ratio %.2f\n\", $(field ours 2), $(field theirs 2), $(field ours 2) / $(field theirs 2)
}"
