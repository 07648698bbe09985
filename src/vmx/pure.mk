# Sources that are also built for the host.
PURE += src/vmx/decode.c
