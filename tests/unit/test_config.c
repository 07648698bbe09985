// SPDX-License-Identifier: MIT
// The configuration parser: vm/config.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/config.h"

static struct config config;
static char reports[16384]; // "LINE: TEXT\n" of each
static unsigned report_count;

static void collect(void *ctx, unsigned line, const char *text)
{
    assert_ptr_equal(ctx, &config);
    size_t used = strlen(reports);
    snprintf(reports + used, sizeof(reports) - used, "%u: %s\n", line, text);
    report_count++;
}

static enum error parse_bytes(const char *text, size_t len)
{
    // In a block of its own size, so that the sanitizer sees a byte read too many.
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, text, len);
    reports[0] = '\0';
    report_count = 0;
    memset(&config, 0xcc, sizeof(config));
    enum error e = config_parse(&config, copy, len, collect, &config);
    free(copy);
    return e;
}

static enum error parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

#define VM "[vm a]\nkernel = k\n" // keys after it are in line 3

// text is refused with exactly this report, and VM a with it.
static void refused(const char *text, const char *report)
{
    assert_int_equal(parse(text), ERR_INVALID);
    assert_string_equal(reports, report);
    assert_int_equal(config.errors, 1);
    if (config.vms > 0) {
        assert_false(config.vm[0].valid);
        assert_non_null(strstr(report, config.vm[0].reason));
    }
}

static const struct config_vm *taken(const char *text)
{
    enum error e = parse(text);
    assert_string_equal(reports, "");
    assert_int_equal(e, OK);
    assert_true(config.vms > 0 && config.vm[0].valid);
    return &config.vm[0];
}

static void what_is_not_said_has_its_default(void **state)
{
    (void)state;
    const struct config_vm *vm = taken(VM);
    assert_int_equal(config.vms, 1);
    assert_false(config.poweroff_when_all_stopped);
    assert_string_equal(vm->name, "a");
    assert_string_equal(vm->kernel, "k");
    assert_string_equal(vm->initrd, "");
    assert_string_equal(vm->cmdline, "");
    assert_int_equal(vm->memory, 256 * MiB);
    assert_int_equal(vm->vcpus, 1);
    assert_int_equal(vm->weight, 100);
    assert_true(core_set_has(&vm->cores, 0) && core_set_has(&vm->cores, CONFIG_CORES - 1));
    assert_false(vm->reset_stops || vm->interrupts || vm->hlt_through);
    assert_int_equal(vm->intercepts, 0);
    assert_int_equal(vm->format, FORMAT_AUTO);
    assert_int_equal(vm->modules, 0);
    assert_int_equal(vm->devices, 0);
    assert_int_equal(vm->line, 1);
}

static void every_key_is_taken(void **state)
{
    (void)state;
    const struct config_vm *vm = taken("# comment\r\n"
                                       "[appliance]\r\n"
                                       "poweroff = when-all-stopped # comment\r\n"
                                       "\t [ vm  my-VM_1 ] # comment\r\n"
                                       "kernel=vmlinuz-6.1.0+x~1\r\n"
                                       "  initrd\t=  initrd.gz\t# comment\r\n"
                                       "cmdline = console=ttyS0 a#b c=\"# d\r\n"
                                       "memory = 1G\r\n"
                                       "vcpus = 64\r\n"
                                       "cores = 0, 2-4 ,255\r\n"
                                       "weight = 10000\r\n"
                                       "intercept =\r\n"
                                       "reset = stop\r\n"
                                       "interrupts = on\r\n"
                                       "hlt = through\r\n"
                                       "format = flat\r\n"
                                       "load = 0x100000\r\n"
                                       "entry = 0x100010\r\n"
                                       "module = m1 one  two\r\n"
                                       "module = m2\r\n"
                                       "devices = com4 ,com1\r\n"
                                       "\r\n"
                                       "[vm two]\r\n"
                                       "kernel = k");
    assert_true(config.poweroff_when_all_stopped);
    assert_int_equal(config.vms, 2);
    assert_string_equal(vm->name, "my-VM_1");
    assert_string_equal(vm->kernel, "vmlinuz-6.1.0+x~1");
    assert_string_equal(vm->initrd, "initrd.gz");
    assert_string_equal(vm->cmdline, "console=ttyS0 a#b c=\"# d");
    assert_int_equal(vm->memory, 1 * GiB);
    assert_int_equal(vm->vcpus, 64);
    for (unsigned core = 0; core < 300; core++) {
        bool want = core == 0 || (core >= 2 && core <= 4) || core == 255;
        assert_int_equal(core_set_has(&vm->cores, core), want);
    }
    assert_int_equal(vm->weight, 10000);
    assert_true(vm->reset_stops && vm->interrupts && vm->hlt_through);
    assert_int_equal(vm->intercepts, 0);
    assert_int_equal(vm->format, FORMAT_FLAT);
    assert_int_equal(vm->load.v, 0x100000);
    assert_int_equal(vm->entry.v, 0x100010);
    assert_int_equal(vm->modules, 2);
    assert_string_equal(vm->module[0].image, "m1");
    assert_string_equal(vm->module[0].args, "one  two");
    assert_string_equal(vm->module[1].image, "m2");
    assert_string_equal(vm->module[1].args, "");
    assert_int_equal(vm->key_line[VM_MODULE], 19);
    assert_int_equal(vm->devices, 0x9);
    assert_string_equal(config.vm[1].name, "two");
    assert_int_equal(config.vm[1].line, 23);
}

static void memory_is_a_size_within_limits(void **state)
{
    (void)state;
    assert_int_equal(taken(VM "memory = 1M")->memory, 1 * MiB);
    assert_int_equal(taken(VM "memory = 1028K")->memory, 1028 * KiB);
    assert_int_equal(taken(VM "memory = 1052672")->memory, 1052672);
    assert_int_equal(taken(VM "memory = 0x10m")->memory, 16 * MiB);
    assert_int_equal(taken(VM "memory = 1024G")->memory, 1024 * GiB);
    refused(VM "memory = 1025G", "3: memory: 1025G is more than the 1024G there can be\n");
    refused(VM "memory = 18446744073709551615G",
            "3: memory: 18446744073709551615G is more than the 1024G there can be\n");
    refused(VM "memory = 256",
            "3: memory: 256 is less than 1M; without K, M or G it is in bytes\n");
    refused(VM "memory = 1023K", "3: memory: 1023K is less than 1M\n");
    refused(VM "memory = 1025K", "3: memory: 1025K is not a multiple of 4K\n");
    static const char *const bad[] = {
        "", "M", "12X", "1.5G", "-1M", "0x", "G1", "1 M", "99999999999999999999999M"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[100], want[200];
        snprintf(text, sizeof(text), VM "memory = %s", bad[i]);
        snprintf(want, sizeof(want),
                 "3: memory: '%s' is not a size; one is a number with K, M or G behind it\n",
                 bad[i]);
        refused(text, want);
    }
}

static void a_size_in_bytes_is_told_without_its_b(void **state)
{
    (void)state;
    refused(VM "memory = 16MB",
            "3: memory: '16MB' is not a size: without the B; one is a number with "
            "K, M or G behind it\n");
    refused(VM "memory = 16b",
            "3: memory: '16b' is not a size: without the b; one is a number with K, M or G behind "
            "it\n");
    assert_int_equal(taken(VM "memory = 0x4bM")->memory, 0x4b * MiB);
}

static void numbers_and_words_are_checked(void **state)
{
    (void)state;
    refused(VM "vcpus = 0", "3: vcpus: 0 is outside 1 to 64\n");
    refused(VM "vcpus = 65", "3: vcpus: 65 is outside 1 to 64\n");
    refused(VM "vcpus = two", "3: vcpus: 'two' is not a number\n");
    refused(VM "vcpus = 18446744073709551617",
            "3: vcpus: '18446744073709551617' is not a number\n");
    refused(VM "weight = 10001", "3: weight: 10001 is outside 1 to 10000\n");
    refused(VM "weight =", "3: weight: '' is not a number\n");
    refused(VM "reset = reboot", "3: reset: 'reboot' is not one of restart, stop\n");
    // A4.
    assert_true(taken(VM "interrupts = on")->interrupts);
    assert_false(taken(VM "interrupts = off")->interrupts);
    refused(VM "interrupts = yes", "3: interrupts: 'yes' is not one of off, on\n");
    refused(VM "format = elf",
            "3: format: 'elf' is not one of auto, linux, multiboot, multiboot2, pvh, flat\n");
    refused(VM "format = flat\nload = 0x100000000",
            "4: load: 0x100000000 is outside 0 to 4294967295\n");
    assert_int_equal(parse("[appliance]\npoweroff = yes\n" VM), ERR_INVALID);
    assert_string_equal(reports, "2: poweroff: 'yes' is not one of never, when-all-stopped\n");
    assert_true(config.vm[0].valid);
}

static void cores_are_numbers_and_ranges(void **state)
{
    (void)state;
    assert_true(core_set_has(&taken(VM "cores = all")->cores, 77));
    assert_false(core_set_has(&taken(VM "cores = 3")->cores, 2));
    refused(VM "cores = 3-1", "3: cores: 3-1 runs backwards\n");
    refused(VM "cores = 256", "3: cores: core 256: numbers go up to 255\n");
    refused(VM "cores = 0-4294967296", "3: cores: core 4294967296: numbers go up to 255\n");
    refused(VM "cores =", "3: cores: '' is not a core's number; a list is like 0,2 or 1-3\n");
    refused(VM "cores = 1,,2", "3: cores: '' is not a core's number; a list is like 0,2 or 1-3\n");
    refused(VM "cores = 1-2-3",
            "3: cores: '2-3' is not a core's number; a list is like 0,2 or 1-3\n");
}

// A3.
static void devices_share_no_interrupt(void **state)
{
    (void)state;
    assert_int_equal(taken(VM "devices = com2")->devices, 0x2);
    assert_int_equal(taken(VM "devices = com1,com2,com2")->devices, 0x3);
    static const char *const bad[] = {"", "com", "com0", "com5", "com22", "COM2", "com\xb1"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[100], want[200];
        snprintf(text, sizeof(text), VM "devices = com2,%s", bad[i]);
        snprintf(want, sizeof(want),
                 "3: devices: '%s' is no device that a VM can have; a list is like com2 or "
                 "com1,com2\n",
                 bad[i]);
        refused(text, want);
    }
    refused(VM "devices = com1,com3", "3: devices: com1 and com3 share an interrupt\n");
    refused(VM "devices = com4,com2", "3: devices: com4 and com2 share an interrupt\n");
}

static enum error check_device(unsigned n, struct text *why)
{
    return n == 2 ? explain(why, ERR_NOT_FOUND, "no such thing") : OK;
}

static void a_device_belongs_to_one_vm(void **state)
{
    (void)state;
    (void)parse("[vm a]\nkernel = k\ndevices = com2\n"
                "[vm b]\nkernel = k\ndevices = com1,com2\n"
                "[vm c]\nkernel = k\ndevices = com4\n"
                "[vm d]\nkernel = k\ndevices = com3\n"
                "[vm e]\nkernel = k\nvcpus = 0\ndevices = com1\n"
                "[vm f]\nkernel = k\n");
    assert_string_equal(reports, "15: vcpus: 0 is outside 1 to 64\n"
                                 "6: devices: com2: VM a has it\n"
                                 "9: devices: com4: VM a has the one that shares its interrupt\n"
                                 "16: devices: com1: VM d has the one that shares its interrupt\n");
    reports[0] = '\0';
    assert_int_equal(config_check_devices(&config, check_device, collect, &config), 2);
    assert_string_equal(reports, "12: devices: com3: no such thing\n");
    static const bool valid[] = {true, false, false, false, false, true};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(config.vm[i].valid, valid[i]);
}

static void an_images_name_is_checked(void **state)
{
    (void)state;
    refused("[vm a]\nkernel =", "2: kernel: names no image\n");
    refused("[vm a]\nkernel = ../x",
            "2: kernel: '../x' is no image's name: letters, digits and ._+-~ only, no folders\n");
    refused("[vm a]\nkernel = a b",
            "2: kernel: 'a b' is no image's name: letters, digits and ._+-~ only, no folders\n");
    refused("[vm a]\nkernel = .x", "2: kernel: an image's name does not begin with '.'\n");
    refused("[vm a]\nkernel = vitrine.conf",
            "2: kernel: 'vitrine.conf' is one of the appliance's own files\n");
    char text[200];
    snprintf(text, sizeof(text), "[vm a]\nkernel = %063d", 1);
    assert_int_equal(strlen(taken(text)->kernel), 63);
    snprintf(text, sizeof(text), "[vm a]\nkernel = %064d", 1);
    refused(text, "2: kernel: an image's name has at most 63 characters\n");
    refused(VM "module = ", "3: module: names no image\n");
    snprintf(text, sizeof(text), VM "module = m");
    for (unsigned i = 0; i < LOAD_MODULES; i++)
        strcat(text, "\nmodule = m");
    refused(text, "11: module: there are 8 modules already, the most there can be\n");
}

static void long_values_have_their_limits(void **state)
{
    (void)state;
    static char text[8192];
    snprintf(text, sizeof(text), VM "cmdline = %02047d", 1);
    assert_int_equal(strlen(taken(text)->cmdline), CONFIG_CMDLINE_MAX);
    snprintf(text, sizeof(text), VM "cmdline = %02048d", 1);
    refused(text, "3: cmdline: 2048 characters, more than the 2047 there can be\n");
    snprintf(text, sizeof(text), VM "module = m %0191d", 1);
    assert_int_equal(strlen(taken(text)->module[0].args), CONFIG_ARGS_MAX);
    snprintf(text, sizeof(text), VM "module = m %0192d", 1);
    refused(text, "3: module: 192 characters of arguments, more than the 191 there can be\n");
    snprintf(text, sizeof(text), VM "#%04094d", 1);
    taken(text);
    snprintf(text, sizeof(text), VM "#%04095d", 1);
    refused(text, "3: line: 4096 characters, more than the 4095 there can be\n");
}

static void a_section_is_whole_and_there_once(void **state)
{
    (void)state;
    refused("",
            "0: file: defines no VM; one is a section [vm NAME] with a line 'kernel = IMAGE'\n");
    refused("[appliance]\n",
            "0: file: defines no VM; one is a section [vm NAME] with a line 'kernel = IMAGE'\n");
    refused("[vm a]\nmemory = 1M\n", "1: kernel: missing in [vm a]\n");

    assert_int_equal(parse("kernel = x\n" VM), ERR_INVALID);
    assert_string_equal(reports, "1: kernel: stands before the first section\n");
    assert_true(config.vm[0].valid);

    // What follows a bad section line belongs to no VM, the one before it least of all.
    static const char *const bad[] = {
        "[vm b", "[vm b c]", "[vm]",   "[]",       "[",
        "[vmb]", "[vm -b]",  "[VM b]", "[vm b] x", "[vm abcdefghijklmnopqrstuvwxyz0123456]"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[200];
        snprintf(text, sizeof(text), VM "%s\nvcpus = 2\nnonsense\n", bad[i]);
        assert_int_equal(parse(text), ERR_INVALID);
        assert_int_equal(report_count, 1);
        assert_memory_equal(reports, "3: ", 3);
        assert_int_equal(config.vms, 1);
        assert_true(config.vm[0].valid);
        assert_int_equal(config.vm[0].vcpus, 1);
    }
    assert_int_equal(parse("[appliance]\n[appliance]\n" VM), ERR_INVALID);
    assert_string_equal(reports, "2: [appliance]: this section was there already\n");
}

// The items of a VM as they are printed.
static const char *items(const struct config_vm *vm)
{
    static char out[2048];
    struct text t = TEXT(out);
    out[0] = '\0';
    for (unsigned i = 0; i < vm->intercepts; i++) {
        text_add(&t, i == 0 ? "" : " ");
        intercept_print(&vm->intercept[i], true, &t);
    }
    return out;
}

static void an_item_is_read_wherever_it_stands_and_once(void **state)
{
    (void)state;
    // A2, A5, A7, A9, A10: several on a line, and several lines.
    assert_string_equal(
        items(taken(VM "intercept = pause, exception:pf:1:0 ,io:0x3f8:w=log # COM1\n"
                       "vcpus = 2\n"
                       "intercept = msr:efer:w=stop,cr4:smep,smap:w , hlt\n"
                       "intercept =\n")),
        "pause exception:pf:0x1:0x0 io:0x3f8:w=log msr:efer:w=stop cr4:smep,smap "
        "hlt");
    assert_int_equal(config.vm[0].key_line[VM_INTERCEPT], 3);
    taken(VM "intercept = hlt\nhlt = caught\n[vm b]\nkernel = k\nintercept = hlt=log, pf");
    assert_string_equal(items(&config.vm[0]), "hlt");
    assert_string_equal(items(&config.vm[1]), "hlt=log exception:pf");

    refused(VM "intercept = hlt, io:0x3f8:x",
            "3: intercept: 'io:0x3f8:x': access 'x' is not one of r, w, rw\n");
    refused(VM "intercept = pause\nintercept = hlt,",
            "4: intercept: 'hlt,': ',' is the end; expected "
            "an item behind\n");
    refused(VM "intercept = hlt:, pause",
            "3: intercept: 'hlt:': 'hlt' goes with an action alone\n");
    refused(VM "intercept = hltt", "3: intercept: 'hltt': 'hltt' is not one of hlt, pause, ple, "
                                   "extint, exception, io, msr, cr0, cr3, cr4, cr8, rdtsc, rdtscp, "
                                   "rdpmc, rdrand, rdseed, invlpg, monitor, mwait, wbinvd, xsetbv, "
                                   "desc, dr, cpuid, mem\n");
    refused(VM "intercept = pf, io:0x80, gp\nintercept = exception:14=log",
            "4: intercept: 'exception:pf' is there already; expected each once, with one action\n");
    refused(VM "intercept = cr3:except:1+2\nintercept = cr3:except:2+1",
            "4: intercept: 'cr3:except:0x1+0x2' is there already; expected each once, with one "
            "action\n");
}

static void intercepts_are_limited(void **state)
{
    (void)state;
    char text[1024] = VM;
    for (unsigned i = 0; i < INTERCEPTS_MAX; i++)
        sprintf(text + strlen(text), "intercept = io:%u\n", i);
    assert_int_equal(taken(text)->intercepts, INTERCEPTS_MAX);
    strcat(text, "intercept = hlt\n");
    refused(text, "35: intercept: there are 32 already, the most there can be\n");
}

// A1: what is let through cannot be caught.
static void hlt_is_caught_or_let_through(void **state)
{
    (void)state;
    assert_false(taken(VM "hlt = caught")->hlt_through);
    assert_true(taken(VM "hlt = through\nintercept = pause")->hlt_through);
    refused(VM "hlt = maybe", "3: hlt: 'maybe' is not one of caught, through\n");
    static const char both[] = ": hlt: 'through' does not go with 'intercept = hlt': what is let "
                               "through cannot be caught\n";
    char report[128];
    snprintf(report, sizeof(report), "3%s", both);
    refused(VM "hlt = through\nintercept = pause, hlt=log", report);
    snprintf(report, sizeof(report), "4%s", both);
    refused(VM "intercept = hlt\nhlt = through", report);
}

static void a_line_of_no_known_form_is_named(void **state)
{
    (void)state;
    refused(VM "vcpus 2", "3: vcpus 2: a line is 'key = value', a [section] or a comment\n");
    refused(VM "= 2", "3: = 2: a line is 'key = value', a [section] or a comment\n");
    refused(VM "memry = 1M", "3: memry: unknown key; did you mean 'memory'?\n");
    refused(VM "Kernel = x", "3: Kernel: unknown key; did you mean 'kernel'?\n");
    refused(VM "cpu = 1", "3: cpu: unknown key; did you mean 'vcpus'?\n");
    refused(VM "colour = 1", "3: colour: unknown key\n");
    refused(VM "kernel = x", "3: kernel: given in line 2 already\n");
    refused(VM "load = 1", "3: load: goes with 'format = flat' only\n");
    assert_int_equal(parse("[appliance]\npowerof = never\n" VM), ERR_INVALID);
    assert_string_equal(reports, "2: powerof: unknown key; did you mean 'poweroff'?\n");
    taken("\xef\xbb\xbf" VM);
    taken(VM "cmdline = \xc3\xa4 # \xc3\xb6");
}

static void control_characters_are_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_bytes(VM "cmd\0line = x", sizeof(VM "cmd\0line = x") - 1), ERR_INVALID);
    assert_string_equal(reports, "3: line: character 0x00 in column 4; this is not a text file\n");
    assert_false(config.vm[0].valid);
    refused(VM "cmdline = a\rb", "3: line: character 0x0d in column 12; this is not a text file\n");
    refused(VM "# \x1b[2J", "3: line: character 0x1b in column 3; this is not a text file\n");
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    (void)state;
    size_t len = CONFIG_FILE_MAX + 1;
    char *text = malloc(len);
    memset(text, '\n', len);
    memcpy(text, VM, strlen(VM));
    assert_int_equal(parse_bytes(text, len - 1), OK);
    assert_int_equal(parse_bytes(text, len), ERR_INVALID);
    assert_string_equal(reports, "0: file: 65537 bytes, more than the 65536 there can be\n");
    assert_int_equal(config.vms, 0);
    free(text);
}

// "A VM that cannot start is reported and left out; the others start."
static void errors_stay_with_their_vm(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel = k\n"
                           "[vm b]\nkernel = k\nvcpus = x\nweight = y\n"
                           "[vm a]\nkernel = k\n"
                           "[vm c]\nmemory = 1M\n"
                           "[vm d]\nkernel = k\n"),
                     ERR_INVALID);
    assert_string_equal(reports, "5: vcpus: 'x' is not a number\n"
                                 "6: weight: 'y' is not a number\n"
                                 "7: [vm a]: this name is in use since line 1\n"
                                 "9: kernel: missing in [vm c]\n");
    assert_int_equal(config.vms, 5);
    static const bool valid[] = {true, false, false, false, true};
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(config.vm[i].valid, valid[i]);
    assert_string_equal(config.vm[1].reason, "vcpus: 'x' is not a number");
}

static void more_vms_than_there_can_be_are_refused(void **state)
{
    (void)state;
    char text[1024] = "";
    for (unsigned i = 0; i <= CONFIG_VMS; i++)
        sprintf(text + strlen(text), "[vm v%u]\nkernel = k\n", i);
    assert_int_equal(parse(text), ERR_INVALID);
    assert_string_equal(reports, "33: [vm v16]: there are 16 VMs already, the most there can be\n");
    assert_int_equal(config.vms, CONFIG_VMS);
    assert_true(config.vm[CONFIG_VMS - 1].valid);
}

static void reports_are_limited(void **state)
{
    (void)state;
    char text[2048] = VM;
    for (unsigned i = 0; i < 100; i++)
        strcat(text, "x\n");
    assert_int_equal(parse(text), ERR_INVALID);
    assert_int_equal(config.errors, 100);
    assert_int_equal(report_count, CONFIG_REPORTS_MAX + 1);
    assert_non_null(strstr(reports, "35: file: more errors follow that are not listed\n"));
}

// Cut anywhere, a file is read without a fault, and what stood before the cut counts.
static void a_file_cut_anywhere_counts_up_to_the_cut(void **state)
{
    (void)state;
    static const char text[] = "[appliance]\npoweroff = never\n[vm a]\nkernel = k # x\ncores = "
                               "0-3,5\nmemory=2M\r\nmodule = m x y\nformat = flat\nload = 0x10\n"
                               "[vm b]\nkernel = q\n";
    for (size_t len = 0; len <= strlen(text); len++) {
        (void)parse_bytes(text, len);
        assert_int_equal(config.vms > 0, len >= strlen("[appliance]\npoweroff = never\n[vm a]"));
    }
}

static void what_the_machine_has_not_leaves_a_vm_out(void **state)
{
    (void)state;
    static const char text[] = "[vm a]\nkernel = k\nmemory = 100M\ncores = 1-2\n"
                               "[vm b]\nkernel = k\nmemory = 100M\ncores = 2,4\n"
                               "[vm c]\nkernel = k\nmemory = 100M\n"
                               "[vm d]\nkernel = k\nmemory = 57M\n"
                               "[vm e]\nkernel = k\nmemory = 56M\n"
                               "[vm f]\nkernel = k\nmemory = bad\n";
    (void)parse(text);
    reports[0] = '\0';
    struct core_set online = {{0x0f}};
    assert_int_equal(config_check_machine(&config, &online, 256 * MiB, collect, &config), 3);
    assert_string_equal(reports,
                        "8: cores: this machine has no core 4 online\n"
                        "14: memory: d wants 58368 KiB, and 57344 of this machine's 262144 are "
                        "left\n");
    static const bool valid[] = {true, false, true, false, true, false};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(config.vm[i].valid, valid[i]);
    assert_int_equal(config.vm[0].cores.bits[0], 0x06);
    assert_int_equal(config.vm[2].cores.bits[0], 0x0f);
    assert_int_equal(config.vm[2].cores.bits[3], 0);
}

static void list_image(void *ctx, const char *name)
{
    (void)ctx;
    strcat(strcat(reports, name), " ");
}

static void the_image_list_has_each_once(void **state)
{
    (void)state;
    (void)parse("[vm a]\nkernel = k\ninitrd = i\n"
                "[vm b]\nkernel = k\nmodule = m1\nmodule = i\nmodule = m2 x\n"
                "[vm bad]\nkernel = no\nvcpus = 0\n"
                "[vm c]\nkernel = m2\n");
    reports[0] = '\0';
    config_images(&config, list_image, NULL);
    assert_string_equal(reports, "k i m1 m2 ");
}

static bool no_image(void *ctx, const char *name, struct image *out)
{
    (void)ctx;
    *out = (struct image){name, (const u8 *)"not a kernel\n", 13};
    return strcmp(name, "text") == 0;
}

static void images_are_checked(void **state)
{
    (void)state;
    (void)parse("[vm a]\nkernel = gone\n[vm b]\nkernel = text\n"
                "[vm c]\nkernel = text\nformat = flat\n"
                "[vm d]\nkernel = text\nformat = flat\nmodule = text\nmodule = gone2\n"
                "[vm e]\nkernel = text\ninitrd = gone3\nformat = linux\n"
                "[vm f]\nkernel = text\nload = 0x9fbff\nformat = flat\n");
    assert_string_equal(reports, "");
    assert_int_equal(config_check_images(&config, no_image, NULL, collect, &config), 1);
    assert_string_equal(
        reports, "2: kernel: there is no image 'gone'\n"
                 "4: kernel: text is a text file; a kernel is a Linux bzImage or vmlinux, a "
                 "Multiboot kernel or, with 'format = flat', any bytes\n"
                 "11: module: there is no image 'gone2'\n"
                 "15: initrd: there is no image 'gone3'\n"
                 "19: load: 0x9fbff to 0x9fc0b is not all RAM: RAM is 0 to 0x9fbff and 0x100000 "
                 "to 0xfffffff\n");
    assert_true(config.vm[2].valid);
}

static void all_errors_come_at_once(void **state)
{
    (void)state;
    // An unknown key and images that are missing, all of them.
    (void)parse("[vm a]\nkernal = x\nweigth = 3\nkernel = gone\ninitrd = gone2\nmodule = gone3\n"
                // A bad value that the loader does not go by, and a kernel that is none.
                "[vm b]\nvcpus = 0\nkernel = text\n"
                // One that it does go by: what there is may be right with the right value.
                "[vm c]\nformat = flta\nkernel = text\n"
                "[vm d]\nfromat = flat\nkernel = text\n"
                "[vm e]\ninitrd = gone4\n");
    reports[0] = '\0';
    assert_int_equal(config_check_images(&config, no_image, NULL, collect, &config), 0);
    assert_string_equal(reports,
                        "4: kernel: there is no image 'gone'\n"
                        "5: initrd: there is no image 'gone2'\n"
                        "6: module: there is no image 'gone3'\n"
                        "9: kernel: text is a text file; a kernel is a Linux bzImage or vmlinux, a "
                        "Multiboot kernel or, with 'format = flat', any bytes\n"
                        "17: initrd: there is no image 'gone4'\n");
}

static bool video_kernel(void *ctx, const char *name, struct image *out)
{
    // Multiboot 1 with the bit for video and addresses: 64 bytes at 1 MiB.
    static const u32 kernel[16] = {
        0x1badb002, 0x10004, 0u - 0x1badb002 - 0x10004, 0x100000, 0x100000, 0, 0, 0x100020};
    (void)ctx;
    *out = (struct image){name, (const u8 *)kernel, sizeof(kernel)};
    return true;
}

static void a_note_leaves_nothing_out(void **state)
{
    (void)state;
    (void)parse("[vm a]\nkernel = mach\n");
    assert_int_equal(config_check_images(&config, video_kernel, NULL, collect, &config), 1);
    assert_string_equal(reports, "2: kernel: note: mach: it wants a video mode (bit 2 of its "
                                 "Multiboot flags), and a VM has no display: it is told of none\n");
    assert_int_equal(config.errors, 0);
    assert_true(config.vm[0].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(memory_is_a_size_within_limits),
        cmocka_unit_test(a_size_in_bytes_is_told_without_its_b),
        cmocka_unit_test(all_errors_come_at_once),
        cmocka_unit_test(numbers_and_words_are_checked),
        cmocka_unit_test(cores_are_numbers_and_ranges),
        cmocka_unit_test(devices_share_no_interrupt),
        cmocka_unit_test(a_device_belongs_to_one_vm),
        cmocka_unit_test(an_images_name_is_checked),
        cmocka_unit_test(long_values_have_their_limits),
        cmocka_unit_test(a_section_is_whole_and_there_once),
        cmocka_unit_test(an_item_is_read_wherever_it_stands_and_once),
        cmocka_unit_test(intercepts_are_limited),
        cmocka_unit_test(hlt_is_caught_or_let_through),
        cmocka_unit_test(a_line_of_no_known_form_is_named),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(a_file_that_is_too_large_is_refused),
        cmocka_unit_test(errors_stay_with_their_vm),
        cmocka_unit_test(more_vms_than_there_can_be_are_refused),
        cmocka_unit_test(reports_are_limited),
        cmocka_unit_test(a_file_cut_anywhere_counts_up_to_the_cut),
        cmocka_unit_test(what_the_machine_has_not_leaves_a_vm_out),
        cmocka_unit_test(the_image_list_has_each_once),
        cmocka_unit_test(images_are_checked),
        cmocka_unit_test(a_note_leaves_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
