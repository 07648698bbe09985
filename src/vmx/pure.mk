# Sources that are also built for the host: the rules of a VM entry's checks.
PURE += src/vmx/check_entry.c src/vmx/check_controls.c src/vmx/check_event.c src/vmx/check_host.c
PURE += src/vmx/check_guest.c src/vmx/check_state.c
