#!/usr/bin/env bash
# Where the backend and the gateway spend their time under load, by part: samples of Linux perf, sorted by thread and by what a
# function's name says. Needs perf and the release build of tr-net and of the example `load`.
#
# reference-server/examples/load_parts.sh [POINTS OF SALE] [SECONDS]
set -euo pipefail
pos=${1:-64} seconds=${2:-5}
bin=${CARGO_TARGET_DIR:-$(dirname "${BASH_SOURCE[0]}")/../../target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

: >"$work/load"
"$bin/examples/load" --pos "$pos" --seconds $((seconds + 4)) >"$work/load" 2>"$work/errors" &
load=$! recording=()
until grep -q ' 1 s ' "$work/load"; do
    kill -0 "$load" 2>"$work/gone" || { cat "$work/errors" >&2; exit 1; }
    sleep 0.2
done
for server in backend gateway; do
    process=$(awk -v server="$server" '$2 == server && /runs as process/ { print $NF }' "$work/load")
    perf record -e cpu-clock -F 1999 -p "$process" -o "$work/$server" -- sleep "$seconds" >"$work/perf" 2>&1 &
    recording+=($!)
done
wait "${recording[@]}"
wait "$load"

for server in backend gateway; do
    echo "$server, per cent of its processor time"
    perf report -i "$work/$server" --no-children --stdio -F overhead,comm,dso,sym --percent-limit 0 -t '|' 2>"$work/perf" |
        awk -F'|' -v server="$server" '
        /^#/ || NF < 4 { next }
        {
            thread = $2; kernel = $3 ~ /kernel/; name = $4
            curve = name ~ /nistz256|beeu_mod|bn_|bignum|BN_|EC_|ec_|ecdsa|ECDSA/
            cipher = name ~ /sha512|aesni_cbc|sqlcipher|ossl|EVP_(Enc|Dec|Cipher|MAC|MD)|HMAC|hmac|RAND|drbg|CRYPTO|evp_|SHA512/
            engine = name ~ /sqlite3|[pP]ager|pcache|vdbe|[wW]al[A-Z]|[bB]tree|balance|[cC]ell|moveTo|[pP]age|unix|fillIn|freeSpace|allocate|accessPayload|rusqlite|StatementCache/
            if (thread ~ /store-writer/) {
                part = "store: rules, encoding, sealing columns, memory"
                if (kernel) part = "store: kernel (writing the log, fsync, waking)"
                else if (curve) part = "store: signing the answer"
                else if (cipher) part = "store: ciphering and authenticating pages"
                else if (engine) part = "store: SQLite"
            } else if (thread ~ /store-/) {
                part = "store: look-ups and moving the log into the file"
            } else {
                part = "network: TLS, seals, parsing, tasks, memory"
                if (kernel) part = "network: kernel (sockets, scheduling)"
                else if (curve && server == "backend") part = "network: verifying the command"
            }
            sum[part] += $1
        }
        END { for (part in sum) printf "%6.1f  %s\n", sum[part], part }' | sort -rn
done
tail -n +2 "$work/load" | sed -n '/^primitives/,$p'
