#!/bin/sh
# Prints a C file that embeds FILES as they are: sh server/embed.sh FILES... >embedded.c
# The assembler reads them (.incbin), relative to the folder the compiler runs in, which is the project root.
set -eu
cat <<'END'
/* Written by server/embed.sh. */
#include "server/embedded.h"

#define EMBED(n, path) \
    __asm__(".pushsection .rodata\n.balign 16\nembedded_" #n ":\n.incbin \"" path "\"\n.byte 0\n.popsection\n"); \
    extern const unsigned char data_##n[] __asm__("embedded_" #n)

END
i=0
for file in "$@"; do
    case $file in
    *[!A-Za-z0-9_./-]*)
        echo "embed.sh: $file: only letters, digits and ._-/ in names" >&2
        exit 1
        ;;
    esac
    [ -f "$file" ] || { echo "embed.sh: $file is not a file" >&2; exit 1; }
    echo "EMBED($i, \"$file\");"
    i=$((i + 1))
done
echo
echo 'const struct embedded_file embedded_files[] = {'
i=0
for file in "$@"; do
    # The distance of two symbols is no constant expression in C, so the size is written out.
    echo "    {\"$file\", data_$i, $(wc -c <"$file")},"
    i=$((i + 1))
done
echo '    {0, 0, 0}};'
echo "const size_t n_embedded_files = $i;"
