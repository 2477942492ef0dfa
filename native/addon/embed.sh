#!/bin/sh
# Builds the interpreter and writes an assembler file that embeds it: embed.sh DIRECTORY
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
unset MAKEFLAGS MFLAGS MAKELEVEL # node-gyp's own make sets V, CC and more
make -s -C native/interpreter OUT="$out"
cat >"$out/interpreter.S" <<END
    .section .rodata
    .balign 64
    .globl interpreter_start, interpreter_end
    .hidden interpreter_start, interpreter_end
interpreter_start:
    .incbin "$out/interpreter.bin"
interpreter_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
END
