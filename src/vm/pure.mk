# Sources that are also built for the host.
PURE += src/vm/config.c src/vm/config_keys.c src/vm/config_check.c src/vm/config_nearest.c
PURE += src/vm/console_backlog.c src/vm/console_history.c src/vm/console_keys.c \
        src/vm/console_text.c
PURE += src/vm/load.c src/vm/load_entry.c src/vm/load_format.c src/vm/load_flat.c
PURE += src/vm/load_bzimage.c src/vm/load_layout.c src/vm/load_multiboot.c
PURE += src/vm/load_multiboot_info.c src/vm/load_multiboot2.c src/vm/load_multiboot2_info.c
PURE += src/vm/load_pvh.c src/vm/load_elf.c
