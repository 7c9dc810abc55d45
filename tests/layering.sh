#!/usr/bin/env bash
# Holds the floors apart: which folder may include which, and that each foreign
# library's header is included in one folder only.
#
#   tests/layering.sh [ROOT]       checks a tree, this one by default
#   tests/layering.sh --self-test  shows that it can fail
set -euo pipefail

# FOLDER: the prefixes of "PREFIX/file.h" that its files may include.
floors='blockmap/core: core
blockmap/readers: core readers
blockmap/ext: core ext
blockmap/site: core readers site ext
fs: core site fs
tools: core readers site ext fs tools'

foreign='sqlite3\.h|zlib\.h|zstd\.h|lzma\.h|bzlib\.h|libxml/.*|jansson\.h|ini\.h|fuse.*\.h|libnbd\.h|lib(qcow|bfio)\.h|gcrypt\.h|xxhash\.h|(ext2fs|et|blkid)/.*|seccomp\.h'

# includes ROOT: FOLDER FILE LINE INCLUDED, the last with its quotes.
includes()
{
	local folder

	while IFS=: read -r folder _; do
		[[ -d $1/$folder ]] || continue
		(cd "$1" && find "$folder" -name '*.[ch]' -exec grep -Hn \
			'^[[:space:]]*#[[:space:]]*include' {} +) |
			sed -nE "s|^([^:]*):([0-9]+):[^\"<]*([\"<][^\">]*[\">]).*|$folder \1 \2 \3|p"
	done <<<"$floors"
}

check()
{
	includes "$1" | awk -v floors="$floors" -v foreign="^<($foreign)>$" '
	BEGIN {
		n = split(floors, line, "\n")
		for (i = 1; i <= n; i++) {
			split(line[i], part, ": ")
			m = split(part[2], up, " ")
			for (j = 1; j <= m; j++)
				may[part[1], up[j]] = 1
		}
	}
	function bad(why)
	{
		print $2 ":" $3 ": " $4 ": " why
		failed = 1
	}
	$4 ~ /^"/ {
		path = substr($4, 2, length($4) - 2)
		at = index(path, "/")
		if (path ~ /(^|\/)\.\.?(\/|$)/)
			bad("a path that climbs")
		else if (at && !(($1, substr(path, 1, at - 1)) in may))
			bad("not for " $1)
	}
	$4 ~ foreign {
		library = $4
		sub(/^<fuse.*/, "<fuse", library)
		sub(/\/.*/, "", library)
		if (library in home && home[library] != $1)
			bad("this library is at home in " home[library])
		home[library] = $1
	}
	END { exit failed }'
}

# must_fail WHAT FILE INCLUDE: such a line in a good tree is noticed.
must_fail()
{
	mkdir -p "$tree/$(dirname "$2")"
	echo "#include $3" >"$tree/$2"
	if check "$tree" >/dev/null; then
		echo "layering.sh does not notice $1" >&2
		return 1
	fi
	rm "$tree/$2"
	check "$tree"
}

self_test()
{
	tree=$(mktemp -d)
	trap 'rm -rf "$tree"' EXIT
	mkdir -p "$tree"/blockmap/{core,readers,site,ext} "$tree"/{fs,tools}
	echo '#include "core/range.h"' >"$tree/blockmap/core/range.c"
	echo '#include <zlib.h>' >"$tree/blockmap/readers/qcow2.c"
	echo '#include <fuse_lowlevel.h>' >"$tree/fs/session.c"
	echo '#include "fs/session.h"' >"$tree/tools/main.c"
	check "$tree"
	must_fail "core above itself" blockmap/core/a.c '"readers/readers.h"'
	must_fail "readers above themselves" blockmap/readers/a.h '"site/site.h"'
	must_fail "site above itself" blockmap/site/a.c '"fs/front.h"'
	must_fail "ext above itself" blockmap/ext/a.c '"readers/readers.h"'
	must_fail "a front that reads" fs/a.c '"readers/readers.h"'
	must_fail "a verb in the front" fs/a.c '"tools/verbs.h"'
	must_fail "a path that climbs" fs/a.c '"../blockmap/core/range.h"'
	must_fail "a library in two places" blockmap/site/a.c '<zlib.h>'
	must_fail "FUSE in the library" blockmap/core/a.c '  <fuse_opt.h>'
}

if [[ ${1-} = --self-test ]]; then
	self_test
else
	check "${1-$(cd "$(dirname "$0")/.." && pwd)}"
fi
