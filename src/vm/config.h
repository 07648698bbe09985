// SPDX-License-Identifier: MIT
// The VM configuration file: which VMs there are and what each may use. Pure code, used by the
// appliance at boot and by build/host/vitrine-config on the build host. docs: config/default.conf.
//
//   file    = { line }                       at most CONFIG_FILE_MAX bytes, LF or CRLF
//   line    = [ "[appliance]" | "[vm NAME]" | key "=" value ] [ comment ]
//   comment = "#" to the end of the line; after a value, only behind a blank
//
// Every error of a file is reported. An error in a VM's section leaves out that VM, one elsewhere
// leaves out that line.
#pragma once

#include "intercept/intercept.h"
#include "lib/error.h"
#include "lib/types.h"
#include "vm/load.h"

#define CONFIG_FILE_MAX    (64 * KiB)
#define CONFIG_LINE_MAX    4095u // characters
#define CONFIG_VMS         16u
#define CONFIG_DEVICES     4u  // serial ports
#define CONFIG_VCPUS       64u // of one VM
#define CONFIG_CORES       256u
#define CONFIG_NAME_MAX    31u // characters of a VM's name
#define CONFIG_IMAGE_MAX   63u // of an image's name
#define CONFIG_CMDLINE_MAX 2047u
#define CONFIG_ARGS_MAX    191u // of a module's arguments
#define CONFIG_IMAGES_MAX  31u  // different images; the boot loader hands over one module more
#define CONFIG_REPORTS_MAX 32u  // lines reported for one file; then one that says there are more

struct core_set {
    u64 bits[CONFIG_CORES / 64];
};

static inline bool core_set_has(const struct core_set *s, unsigned core)
{
    return core < CONFIG_CORES && ((s->bits[core / 64] >> (core % 64)) & 1) != 0;
}

// core is below CONFIG_CORES.
static inline void core_set_add(struct core_set *s, unsigned core)
{
    s->bits[core / 64] |= BIT(core % 64);
}

enum config_vm_key {
    VM_KERNEL,
    VM_INITRD,
    VM_MODULE,
    VM_CMDLINE,
    VM_MEMORY,
    VM_VCPUS,
    VM_CORES,
    VM_WEIGHT,
    VM_INTERCEPT,
    VM_HLT,
    VM_RESET,
    VM_INTERRUPTS,
    VM_FORMAT,
    VM_LOAD,
    VM_ENTRY,
    VM_DEVICES,
    VM_KEYS
};

struct config_module {
    char image[CONFIG_IMAGE_MAX + 1];
    char args[CONFIG_ARGS_MAX + 1];
};

struct config_vm {
    char name[CONFIG_NAME_MAX + 1];
    bool valid;       // false: left out
    char reason[200]; // when not valid: the first reason, as reported
    bool unsure;      // a value that the loader goes by was not taken, or is missed

    char kernel[CONFIG_IMAGE_MAX + 1];
    char initrd[CONFIG_IMAGE_MAX + 1]; // "" for none
    struct config_module module[LOAD_MODULES];
    unsigned modules;
    char cmdline[CONFIG_CMDLINE_MAX + 1];
    u64 memory; // bytes, default 256M
    unsigned vcpus;
    struct core_set cores; // where its vCPUs may run; default all
    unsigned weight;       // share of a core's time, relative to others; default 100
    struct intercept intercept[INTERCEPTS_MAX];
    unsigned intercepts;
    bool hlt_through; // hlt = through: the guest's HLT stops the core itself; default: caught
    bool reset_stops; // reset = stop: a reset or triple fault ends the VM; default: restart
    bool interrupts;  // start with RFLAGS.IF set
    enum image_format format;
    gpa_t load, entry; // flat images
    u8 devices;        // of the host that it is given; bit n: COMn+1

    unsigned line;              // of the section
    unsigned key_line[VM_KEYS]; // 0: not given
};

struct config {
    struct config_vm vm[CONFIG_VMS]; // in the file's order, left-out ones included
    unsigned vms;
    bool poweroff_when_all_stopped; // poweroff = when-all-stopped; default: never
    unsigned errors;                // found so far, by whatever function
};

// Called for each error: line (from 1; 0 for the file as a whole) and "key: reason" (one line of
// printable text, valid during the call). Notes, "key: note: text", come the same way; they count
// as no error.
typedef void config_report_fn(void *ctx, unsigned line, const char *text);

// Reads len bytes of text into *c, which need not be initialized. Returns OK, or ERR_INVALID when
// anything was reported; the VMs that are still valid may be started in both cases.
enum error config_parse(struct config *c, const char *text, u64 len, config_report_fn *report,
                        void *ctx);

// Leaves out VMs that this machine cannot run: that name a core that is not online, or want more
// memory than is left of `memory` bytes after the VMs before them. Cores that are not online are
// taken out of each VM's set. Returns how many VMs are still valid.
unsigned config_check_machine(struct config *c, const struct core_set *online, u64 memory,
                              config_report_fn *report, void *ctx);

// Whether the machine has device n (a bit of config_vm.devices) to give; *why says why it has not.
typedef enum error config_device_fn(unsigned n, struct text *why);

// Whether a VM can have serial port n where the appliance has its console and its debugger's line
// on these two; ERR_BUSY: *why says why it cannot. Ports are counted from 0; -1: the line is not
// there.
enum error config_device_free(unsigned n, int console, int debugger, struct text *why);

// Leaves out VMs that want a device that cannot be given. Returns how many are still valid.
unsigned config_check_devices(struct config *c, config_device_fn *check, config_report_fn *report,
                              void *ctx);

// Finds an image by name; false when there is none. The data stay where they are for as long as
// the configuration is used.
typedef bool config_lookup_fn(void *ctx, const char *name, struct image *out);

// Leaves out VMs whose images are missing, are not what they should be, or do not fit the VM's
// memory: load_image's checks. VMs that are left out already are checked as far as they are known,
// so that all errors are told at once. Returns how many VMs are still valid.
unsigned config_check_images(struct config *c, config_lookup_fn *lookup, void *lookup_ctx,
                             config_report_fn *report, void *ctx);

// Fills *r for load_image, with pointers into *vm and the images; r->rsdp is left 0. On
// ERR_NOT_FOUND *why names the image.
enum error config_load_request(const struct config_vm *vm, config_lookup_fn *lookup,
                               void *lookup_ctx, struct load_request *r, struct load_failure *why);

// Calls `each` once for every image that a valid VM names, in the file's order.
void config_images(const struct config *c, void (*each)(void *ctx, const char *name), void *ctx);

// The key's name as written in the file.
const char *config_vm_key_name(enum config_vm_key key);
