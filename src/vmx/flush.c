// SPDX-License-Identifier: MIT
// INVEPT and INVVPID (SDM Vol. 3, 29.4.3).
#include "vmx/flush.h"

#include "boot/panic.h"

struct flush_features flush_features;

// The only VM-instruction error that these two have (SDM 31.4).
static const char *failure(bool valid)
{
    return valid ? "VMfailValid, error 28: invalid operand to INVEPT/INVVPID"
                 : "VMfailInvalid: no current VMCS";
}

static void invept(u64 type, u64 eptp)
{
    struct {
        u64 eptp, reserved;
    } descriptor = {eptp, 0};
    bool failed, valid;
    __asm__ volatile("invept %2, %3"
                     : "=@ccbe"(failed), "=@ccz"(valid)
                     : "m"(descriptor), "r"(type)
                     : "memory");
    if (failed)
        panic("INVEPT type %lu of %lx failed: %s", type, eptp, failure(valid));
}

static void invvpid(u64 type, u16 vpid)
{
    struct {
        u64 vpid, address;
    } descriptor = {vpid, 0};
    bool failed, valid;
    __asm__ volatile("invvpid %2, %3"
                     : "=@ccbe"(failed), "=@ccz"(valid)
                     : "m"(descriptor), "r"(type)
                     : "memory");
    if (failed)
        panic("INVVPID type %lu of %u failed: %s", type, vpid, failure(valid));
}

void flush_ept(const struct ept_space *s)
{
    if (!flush_features.invept_one) {
        flush_ept_all();
        return;
    }
    for (unsigned view = 0; view < EPT_VIEWS; view++) {
        u64 pointer = ept_pointer(s, view);
        if (pointer != 0)
            invept(1, pointer);
    }
}

void flush_ept_all(void)
{
    invept(2, 0);
}

void flush_vpid(u16 vpid)
{
    if (flush_features.invvpid_one)
        invvpid(1, vpid);
    else if (flush_features.invvpid_all)
        invvpid(2, 0);
}
