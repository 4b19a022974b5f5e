#!/bin/sh
# Line coverage of libdisco's sources by the C tests. Prints it for each file; fails when one is under 95 %.
# PYTHON names the interpreter that has pytest; MINIMUM another limit, in percent.
set -eu
cd "$(dirname "$0")/../.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

DISCO_COVERAGE="$build" "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider -k "not sanitized" tests/test_libdisco*.py
cd "$build"
for notes in wire params disco messages entry classic_params; do
    gcov --no-output "$notes.gcno"
done | awk -v minimum="${MINIMUM:-95}" '
    /^File / { file = $2; sub(/^.*csrc\//, "csrc/", file); sub(/.$/, "", file) }
    /^Lines executed:/ && file ~ /^csrc/ {
        split($0, part, /[:% ]+/)
        printf "%6.2f %% of %3d lines  %s\n", part[3], part[5], file
        n_files++
        if (part[3] + 0 < minimum) low = 1
        file = ""
    }
    END { if (low || n_files < 6) { print "coverage: a file is under " minimum " %, or missing"; exit 1 } }'
