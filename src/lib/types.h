// SPDX-License-Identifier: MIT
// Integer names, and the four kinds of address as types that the compiler keeps apart.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

// Guest-physical, guest-virtual (linear) and host-physical addresses, in bytes. A host-virtual
// address is an ordinary pointer.
typedef struct {
    u64 v;
} gpa_t;
typedef struct {
    u64 v;
} gva_t;
typedef struct {
    u64 v;
} hpa_t;

#define GPA(x) ((gpa_t){(u64)(x)})
#define GVA(x) ((gva_t){(u64)(x)})
#define HPA(x) ((hpa_t){(u64)(x)})

#define KiB (1024ul)
#define MiB (1024ul * KiB)
#define GiB (1024ul * MiB)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define BIT(n)                        (1ul << (n))
#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)                (((x) + (a)-1) & ~((a)-1))
#define ALIGN_DOWN(x, a)              ((x) & ~((a)-1))
#define MIN(a, b)                     ((a) < (b) ? (a) : (b))
#define MAX(a, b)                     ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(p, type, member) ((type *)((u8 *)(p)-offsetof(type, member)))

#define PACKED       __attribute__((packed))
#define ALIGNED(n)   __attribute__((aligned(n)))
#define NOINLINE     __attribute__((noinline))
#define COLD         __attribute__((cold)) // rarely executed: a start, a failure
#define NORETURN     __attribute__((noreturn))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define UNUSED       __attribute__((unused))

// Behind `enum` or `struct` in a type's definition: the compiler warns where a function's result of
// that type is dropped. (void)f() says that this is meant.
#ifdef __clang__
#define MUST_CHECK __attribute__((warn_unused_result))
#else
#define MUST_CHECK [[nodiscard]]
#endif
