// SPDX-License-Identifier: MIT
// vitrine-config: the appliance's own reading of a configuration, on the build host.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/config.h"

#define DIRS_MAX 16

static const char usage[] =
    "usage: vitrine-config check FILE [--images DIR]... [--cores N] [--memory SIZE] [--note yes]\n"
    "                            [--cmdline TEXT]\n"
    "       vitrine-config images FILE\n"
    "\n"
    "check   prints each error as FILE:LINE: KEY: REASON and exits with 1 when there is one.\n"
    "        Images are looked up beside FILE, then in each DIR, and checked as at boot.\n"
    "        --cores and --memory (KiB, or with M or G; for all VMs together) check for a "
    "machine; with --note, what that lacks is a note and no error. With\n"
    "        --cmdline, the appliance's, serial ports that it has itself are a note.\n"
    "images  prints the names of the images that FILE needs, one a line; errors go to stderr.\n";

struct tool {
    const char *file;
    char beside[4096]; // the folder of file
    const char *dir[DIRS_MAX];
    unsigned dirs;
    struct mapped {
        char name[CONFIG_IMAGE_MAX + 1];
        const u8 *data;
        u64 size;
    } mapped[CONFIG_VMS * (LOAD_MODULES + 2)]; // each image once
    unsigned mappeds;
    bool missing;        // an image was not found
    bool only_note;      // what the machine lacks
    const char *cmdline; // the appliance's; NULL: not known
    FILE *errors;
};

static void print_error(void *ctx, unsigned line, const char *text)
{
    const struct tool *t = ctx;
    if (line == 0)
        fprintf(t->errors, "%s: %s\n", t->file, text);
    else
        fprintf(t->errors, "%s:%u: %s\n", t->file, line, text);
}

// Maps a regular file for reading. An empty one has size 0 and data that are not NULL. An
// error leaves in *why why it cannot be read. Others are not waited for, as a pipe would have to
// be.
static enum error map_file(const char *path, const u8 **data, u64 *size, struct text *why)
{
    struct stat st;
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return explain(why, ERR_NOT_FOUND, "%s", strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return explain(why, ERR_INVALID, "is no regular file");
    }
    *data = (const u8 *)"";
    *size = (u64)st.st_size;
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        *data = p == MAP_FAILED ? NULL : p;
    }
    close(fd);
    return *data != NULL ? OK : explain(why, ERR_NO_MEMORY, "cannot be mapped");
}

static bool lookup(void *ctx, const char *name, struct image *out)
{
    struct tool *t = ctx;
    for (unsigned i = 0; i < t->mappeds; i++) {
        if (strcmp(t->mapped[i].name, name) == 0) {
            *out = (struct image){name, t->mapped[i].data, t->mapped[i].size};
            return true;
        }
    }
    for (unsigned i = 0; i <= t->dirs; i++) {
        char path[8192];
        struct mapped *m = &t->mapped[t->mappeds];
        snprintf(path, sizeof(path), "%s/%s", i == 0 ? t->beside : t->dir[i - 1], name);
        char why[128] = "";
        if (map_file(path, &m->data, &m->size, &TEXT(why)) != OK) {
            if (access(path, F_OK) == 0)
                fprintf(t->errors, "%s: %s: %s\n", t->file, path, why);
            continue;
        }
        snprintf(m->name, sizeof(m->name), "%s", name);
        t->mappeds++;
        *out = (struct image){name, m->data, m->size};
        return true;
    }
    t->missing = true;
    return false;
}

static void print_image(void *ctx, const char *name)
{
    (void)ctx;
    puts(name);
}

static void count_image(void *ctx, const char *name)
{
    (void)name;
    ++*(unsigned *)ctx;
}

static int bad_usage(const char *text, const char *what)
{
    fprintf(stderr, "vitrine-config: %s%s\n%s", text, what, usage);
    return 2;
}

static bool parse_count(const char *s, unsigned long max, unsigned long *out, char **end)
{
    errno = 0;
    *out = strtoull(s, end, 10);
    return errno == 0 && *end != s && s[0] != '-' && *out > 0 && *out <= max;
}

static bool parse_memory(const char *s, u64 *bytes)
{
    unsigned long n;
    char *end;
    if (!parse_count(s, 1ul << 40, &n, &end))
        return false;
    unsigned shift = *end == 'G' ? 30 : *end == 'M' ? 20 : 10;
    if (*end != '\0' && end[1] != '\0')
        return false;
    *bytes = (u64)n << shift;
    return strchr("KMG", *end) != NULL && (*bytes >> shift) == n;
}

static unsigned cores_wanted(const struct config_vm *vm)
{
    struct core_set all;
    memset(&all, 0xff, sizeof(all));
    unsigned n = memcmp(&vm->cores, &all, sizeof(all)) == 0 ? 0 : CONFIG_CORES; // 0: any will do
    while (n > 0 && !core_set_has(&vm->cores, n - 1))
        n--;
    return n;
}

// What `make run` would leave out. The ISO may be for another machine.
static void note_machine(struct tool *t, const struct config *c, unsigned long cores, u64 memory)
{
    char text[200];
    u64 sum = 0;
    for (unsigned i = 0; i < c->vms; i++) {
        const struct config_vm *vm = &c->vm[i];
        unsigned wanted = cores_wanted(vm);
        sum += vm->memory;
        if (wanted > cores) {
            snprintf(text, sizeof(text),
                     "cores: note: core %u is there with CPUS=%u and more; `make run` has %lu, and "
                     "leaves %s out",
                     wanted - 1, wanted, cores, vm->name);
            print_error(t, vm->key_line[VM_CORES], text);
        }
    }
    if (sum > memory) {
        snprintf(text, sizeof(text),
                 "memory: note: the VMs want %lu MiB together; `make run` has %lu (MEMORY=), and "
                 "leaves some out",
                 sum / MiB, memory / MiB);
        print_error(t, 0, text);
    }
}

// The port of the line that this word of the boot command line is about, from 0; -1: there is none.
static int line_number(const char *cmdline, const char *key, int number)
{
    size_t n = strlen(key);
    unsigned port;
    while (cmdline != NULL && strncmp(cmdline += strspn(cmdline, " "), key, n) != 0)
        cmdline = strchr(cmdline, ' ');
    if (cmdline == NULL)
        return number;
    if (strncmp(cmdline + n, "none", 4) == 0)
        return -1;
    return sscanf(cmdline + n, "com%1u", &port) == 1 && port >= 1 && port <= CONFIG_DEVICES
               ? (int)port - 1
               : number;
}

// VMs that want a port which is the appliance's by its boot command line; that can be edited at
// boot.
static void note_devices(struct tool *t, const struct config *c)
{
    int console = line_number(t->cmdline, "console=", 0);
    int debugger = line_number(t->cmdline, "gdb=", 1);
    for (unsigned i = 0; i < c->vms * CONFIG_DEVICES; i++) {
        const struct config_vm *vm = &c->vm[i / CONFIG_DEVICES];
        unsigned n = i % CONFIG_DEVICES;
        char text[300], reason[100] = "";
        if (!vm->valid || !(vm->devices & BIT(n)) ||
            config_device_free(n, console, debugger, &TEXT(reason)) == OK)
            continue;
        snprintf(text, sizeof(text), "devices: note: com%u: %s; %s is left out at boot", n + 1,
                 reason, vm->name);
        print_error(t, vm->key_line[VM_DEVICES], text);
    }
}

static int run(struct tool *t, bool images, unsigned long cores, u64 memory)
{
    static struct config config;
    const u8 *text = NULL;
    u64 size = 0;
    char why[128] = "";
    if (map_file(t->file, &text, &size, &TEXT(why)) != OK) {
        fprintf(t->errors, "%s: %s\n", t->file, why);
        return 1;
    }
    const char *slash = strrchr(t->file, '/');
    if (slash == NULL)
        snprintf(t->beside, sizeof(t->beside), ".");
    else
        snprintf(t->beside, sizeof(t->beside), "%.*s", (int)(slash - t->file), t->file);
    if (t->beside[0] == '\0') // a file in the root folder
        snprintf(t->beside, sizeof(t->beside), "/");

    (void)config_parse(&config, (const char *)text, size, print_error, t);
    if (images) {
        config_images(&config, print_image, NULL);
        return config.errors == 0 ? 0 : 1;
    }
    unsigned count = 0;
    config_images(&config, count_image, &count);
    if (count > CONFIG_IMAGES_MAX) {
        fprintf(t->errors, "%s: %u different images, more than the %u there can be\n", t->file,
                count, CONFIG_IMAGES_MAX);
        config.errors++;
    }
    config_check_images(&config, lookup, t, print_error, t);
    if (t->missing) {
        fprintf(t->errors, "%s: images were looked for in %s", t->file, t->beside);
        for (unsigned i = 0; i < t->dirs; i++)
            fprintf(t->errors, ", %s", t->dir[i]);
        fputc('\n', t->errors);
    }

    if (t->cmdline != NULL)
        note_devices(t, &config);
    if (t->only_note) {
        note_machine(t, &config, cores, memory);
        return config.errors == 0 ? 0 : 1;
    }
    struct core_set online = {{0}};
    for (unsigned i = 0; i < cores; i++)
        core_set_add(&online, i);
    config_check_machine(&config, &online, memory, print_error, t);
    return config.errors == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct tool t;
    unsigned long cores = CONFIG_CORES;
    u64 memory = UINT64_MAX;
    char *end;

    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 3)
        return bad_usage("a command and a file are needed", "");
    bool images = strcmp(argv[1], "images") == 0;
    if (!images && strcmp(argv[1], "check") != 0)
        return bad_usage("unknown command ", argv[1]);
    t.file = argv[2];
    t.errors = images ? stderr : stdout;
    for (int i = 3; i < argc; i += 2) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL)
            return bad_usage("what does not belong here, or lacks its value: ", option);
        if (strcmp(option, "--images") == 0 && t.dirs < DIRS_MAX)
            t.dir[t.dirs++] = value;
        else if (strcmp(option, "--cores") == 0 && parse_count(value, CONFIG_CORES, &cores, &end) &&
                 *end == '\0')
            continue;
        else if (strcmp(option, "--memory") == 0 && parse_memory(value, &memory))
            continue;
        else if (strcmp(option, "--note") == 0)
            t.only_note = true;
        else if (strcmp(option, "--cmdline") == 0)
            t.cmdline = value;
        else
            return bad_usage("cannot take ", option);
    }
    return run(&t, images, cores, memory);
}
