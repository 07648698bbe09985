# Sources that are also built for the host.
PURE += src/vmx/decode.c src/vmx/alu.c src/vmx/emulate.c src/vmx/emulate_operand.c \
        src/vmx/emulate_plain.c src/vmx/emulate_string.c src/vmx/fetch.c
