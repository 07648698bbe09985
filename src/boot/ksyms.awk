# SPDX-License-Identifier: MIT
# From `nm -n` to an assembly table of text symbols for backtraces: the low 32 bits of the addresses,
# ascending, and the names in one string of the same order.
BEGIN { n = 0 }
$2 ~ /^[tT]$/ && $3 !~ /^\./ && $3 != last {
    offset[n] = $1
    name[n] = $3
    last = $3
    n++
}
END {
    print ".section .ksyms, \"a\""
    print ".globl ksyms_count, ksyms_addresses, ksyms_names"
    print ".balign 8"
    print "ksyms_count: .quad " n + 0
    print "ksyms_addresses:"
    for (i = 0; i < n; i++)
        print ".long 0x" substr(offset[i], 9)
    print "ksyms_names:"
    for (i = 0; i < n; i++)
        print ".asciz \"" name[i] "\""
    print ".byte 0"
    print ".section .note.GNU-stack,\"\",@progbits"
}
