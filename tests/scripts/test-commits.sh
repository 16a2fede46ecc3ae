#!/bin/sh
# scripts/check-commits: which messages name the files that a commit deletes.
set -u
if [ -n "${ORCD_TEST_SANITIZED:-}" ]; then
    echo "1..0 # SKIP nothing here is compiled"
    exit 0
fi
if ! command -v git >/dev/null; then
    echo "1..0 # SKIP no git"
    exit 0
fi
echo 1..10
n=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_CEILING_DIRECTORIES=$dir
GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CEILING_DIRECTORIES
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
report() { # report GOOD TEXT
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' said
    fi
}
try() { # try STATUS TEXT MESSAGE: about the deletion of lib/process/spawn.c
    git checkout -q --detach first && git rm -q lib/process/spawn.c && git commit -q -m "$3" || exit 1
    "$ORCD_SRCDIR/scripts/check-commits" first..HEAD >said
    [ $? -eq "$1" ]
    report $? "$2"
}

"$ORCD_SRCDIR/scripts/check-commits" >said
[ $? -eq 77 ]
report $? "without a history it is skipped"
git init -q . && mkdir -p lib/process lib/http && echo "some text that is long enough" >lib/process/spawn.c &&
    echo "another one of that length" >lib/http/loop.c && git add lib && git commit -q -m first && git tag first || exit 1
try 0 "the file" "process: spawn.c goes"
try 0 "the file with its folder, at the end of a sentence" "process: less

Nobody used lib/process/spawn.c."
try 0 "a source and its header" "process: spawn.[ch] go"
try 0 "the folder" "lib: nobody needs lib/process/ any more"
try 1 "a commit that says nothing" "http: a connection goes to sleep"
grep -q 'deletes lib/process/spawn.c without naming it' said
report $? "and the file is told"
try 1 "another file of a folder above" "http: lib/http/loop.c no longer spawns"
git checkout -q --detach first && git mv lib/process/spawn.c lib/http/start.c && git commit -q -m "http: what starts" || exit 1
"$ORCD_SRCDIR/scripts/check-commits" first..HEAD >said
report $? "a file that moves is not deleted"
git rm -q lib/http/start.c && git commit -q -m "nothing" &&
    GIT_COMMITTER_DATE=2020-01-01T00:00:00Z git commit -q --amend -m "nothing" || exit 1
git tag -d first >/dev/null
"$ORCD_SRCDIR/scripts/check-commits" >said
report $? "commits from before the rule do not count"
