#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Mend faults of Bochs 3.0 in an unpacked source tree, and let it tell its ticks.

Usage: bochs-fixes.py DIRECTORY

Each fix is one piece of text and what takes its place. The piece must occur in
its file exactly once, or nothing at all is written: a source that differs from
the one the fixes were made for must not be mended by guess.
"""

import sys
from pathlib import Path
from typing import NamedTuple


class Fix(NamedTuple):
    why: str
    file: str
    before: str
    after: str


FIXES = [
    Fix(
        # With IF=0 the virtual interrupt stays pending until the guest can take
        # it (SDM vol. 3, 30.2.2), and the physical one is what is to be handled.
        why="virtual interrupt delivered to a guest that has IF=0",
        file="cpu/event.cc",
        before="""\
    if (is_pending(BX_EVENT_PENDING_VMX_VIRTUAL_INTR)) {
      VMX_Deliver_Virtual_Interrupt();
""",
        after="""\
    if (is_unmasked_event_pending(BX_EVENT_PENDING_VMX_VIRTUAL_INTR)) {
      VMX_Deliver_Virtual_Interrupt();
""",
    ),
    Fix(
        # Which events IF masks depends on being in a guest: with external-interrupt
        # exiting, none of the physical ones (SDM vol. 3, 26.4.1). The mask was worked
        # out when RFLAGS was loaded, before in_vmx_guest was set, so a guest entered
        # with IF=0 could not be interrupted until it wrote IF.
        why="guest entered with IF=0 takes no external-interrupt exit",
        file="cpu/vmx.cc",
        before="""\
  BX_CPU_THIS_PTR in_vmx_guest = true;

  unmask_event(BX_EVENT_INIT);
""",
        after="""\
  BX_CPU_THIS_PTR in_vmx_guest = true;

  unmask_event(BX_EVENT_INIT);
  handleInterruptMaskChange();
""",
    ),
    Fix(
        # What a notification posts is recognized at this very instruction boundary
        # (SDM vol. 3, 30.6); it came one trace later, so `sti; hlt; cli` ran the cli
        # before the interrupt that had ended the hlt.
        why="posted interrupt delivered one trace late",
        file="cpu/event.cc",
        before="""\
    if (VMX_Posted_Interrupt_Processing(vector)) return;
""",
        after="""\
    if (VMX_Posted_Interrupt_Processing(vector)) {
      if (is_unmasked_event_pending(BX_EVENT_PENDING_VMX_VIRTUAL_INTR))
        VMX_Deliver_Virtual_Interrupt();
      return;
    }
""",
    ),
    Fix(
        # A notification whose descriptor is already empty posts nothing (SDM vol. 3, 30.6).
        # The search then gave -1, and the guest took an interrupt with vector 255.
        why="empty posted-interrupt descriptor delivers vector 255",
        file="cpu/vapic.cc",
        before="""\
  vector = BX_CPU_THIS_PTR lapic->highest_priority_int(virr);
  if (vector >= vm->rvi) vm->rvi = vector;
""",
        after="""\
  int highest = BX_CPU_THIS_PTR lapic->highest_priority_int(virr);
  if (highest > (int) vm->rvi) vm->rvi = (Bit8u) highest;
""",
    ),
    Fix(
        # With one CPU, cpu_loop() commits RIP when an exception has brought it back. With several,
        # the CPU goes on with its next trace, and whatever looks at prev_rip before that trace's
        # first instruction is done gets the RIP from before the exception: a VM exit saved it, with
        # the CS of the handler.
        why="with several CPUs, RIP is not committed after an exception",
        file="cpu/cpu.cc",
        before="""\
void BX_CPU_C::cpu_run_trace(void)
{
""",
        after="""\
void BX_CPU_C::cpu_run_trace(void)
{
  BX_CPU_THIS_PTR prev_rip = RIP;
  BX_CPU_THIS_PTR speculative_rsp = false;

""",
    ),
    Fix(
        # Changed between setjmp() and longjmp(), these are lost unless they are volatile. The compiler
        # took `processor` for 0 there: an exception or VM exit of any CPU was counted as an instruction
        # of CPU 0. Between its STI and HLT that ended the shadow of the STI, and a Linux that had been
        # interrupted there slept on, with work waiting.
        why="with several CPUs, an exception counts as an instruction of CPU 0",
        file="main.cc",
        before="""\
        Bit32u executed = 0, processor = 0;
        bool run = true;
""",
        after="""\
        volatile Bit32u executed = 0, processor = 0;
        volatile bool run = true;
""",
    ),
    Fix(
        # What makes a halted guest exit finds it halted (SDM vol. 3, 28.3.4), whatever its IF; it was
        # made active first, and woke with nothing to wake it after the next entry. The shadow of an
        # STI before the HLT is over.
        why="an exit from HLT finds the guest active, or does not come",
        file="cpu/event.cc",
        before="""\
  while (1)
  {
    if ((is_pending(BX_EVENT_PENDING_INTR | BX_EVENT_PENDING_LAPIC_INTR | BX_EVENT_PENDING_UINTR) &&""",
        after="""\
  while (1)
  {
    if (BX_CPU_THIS_PTR in_vmx_guest &&
        (is_unmasked_event_pending(BX_EVENT_VMX_PREEMPTION_TIMER_EXPIRED) ||
         (BX_CPU_THIS_PTR vmcs.pin_vmexec_ctrls.EXTERNAL_INTERRUPT_VMEXIT() &&
          is_unmasked_event_pending(BX_EVENT_PENDING_INTR | BX_EVENT_PENDING_LAPIC_INTR)) ||
         (BX_CPU_THIS_PTR vmcs.pin_vmexec_ctrls.NMI_EXITING() &&
          is_unmasked_event_pending(BX_EVENT_NMI))))
    {
      BX_CPU_THIS_PTR inhibit_mask = 0;
      break;
    }
    if ((is_pending(BX_EVENT_PENDING_INTR | BX_EVENT_PENDING_LAPIC_INTR | BX_EVENT_PENDING_UINTR) &&""",
    ),
    Fix(
        # A virtual interrupt that is recognized ends HLT (SDM vol. 3, 30.2.2).
        why="a virtual interrupt does not wake a halted guest",
        file="cpu/event.cc",
        before="""\
            BX_EVENT_VMX_MONITOR_TRAP_FLAG |
            BX_EVENT_VMX_VIRTUAL_NMI))
    {
""",
        after="""\
            BX_EVENT_VMX_MONITOR_TRAP_FLAG |
            BX_EVENT_PENDING_VMX_VIRTUAL_INTR |
            BX_EVENT_VMX_VIRTUAL_NMI))
    {
""",
    ),
    Fix(
        why="the handler of a virtual interrupt that came by a notification would be halted",
        file="cpu/vapic.cc",
        before="""\
  Bit8u vector = vm->rvi;

  vapic_set_vector(BX_LAPIC_ISR1, vector);
""",
        after="""\
  Bit8u vector = vm->rvi;

  BX_CPU_THIS_PTR activity_state = BX_ACTIVITY_STATE_ACTIVE;
  vapic_set_vector(BX_LAPIC_ISR1, vector);
""",
    ),
    Fix(
        # What an exit during the delivery is to name as the event that was being delivered (SDM vol. 3,
        # 28.2.4) was left as the last exception had made it. KVM then delivered that one: a #DE or #BP
        # that nobody had raised, in place of an interrupt.
        why="an exit during the delivery of a virtual interrupt names another event",
        file="cpu/vapic.cc",
        before="""\
    interrupt(vector, BX_EXTERNAL_INTERRUPT, 0, 0);
""",
        after="""\
    vm->idt_vector_info = vector | (BX_EXTERNAL_INTERRUPT << 8);
    vm->idt_vector_error_code = 0;
    interrupt(vector, BX_EXTERNAL_INTERRUPT, 0, 0);
""",
    ),
    Fix(
        why="a notification that posts nothing to be taken lets a halted guest go on",
        file="cpu/event.cc",
        before="""\
    HandleExtInterrupt();
  }
""",
        after="""\
    HandleExtInterrupt();
    if (BX_CPU_THIS_PTR activity_state != BX_ACTIVITY_STATE_ACTIVE)
      return 1;
  }
""",
    ),
    Fix(
        # SDM vol. 3, table 28-15: the operand's size, not the address's.
        why="operand size of RDRAND and RDSEED in the exit's instruction information",
        file="cpu/vmexit.cc",
        before="""\
      else if (i->as32L())
        instr_info |= 1 << 11;
      break;
""",
        after="""\
      else if (i->os32L())
        instr_info |= 1 << 11;
      break;
""",
    ),
    Fix(
        # SDM vol. 3, 27.2.1.1: bits 5:0 of the address must be 0, no more of them.
        why="posted-interrupt descriptor must be aligned to 64 bytes, not to 4 KiB",
        file="cpu/vmx.cc",
        before="""\
      if (! IsValidPageAlignedPhyAddr(vm->pid_addr)) {
""",
        after="""\
      if (! IsValidPhyAddr(vm->pid_addr) || (vm->pid_addr & 0x3f) != 0) {
""",
    ),
    Fix(
        # The UART writes byte by byte and never looks at write()'s result. A blocking
        # line makes the emulator wait for a slow reader where it dropped bytes. It
        # still never waits for input: it reads after select() said there is some.
        why="bytes sent while the terminal's buffer is full are lost",
        file="iodev/serial.cc",
        before="""\
          BX_SER_THIS s[i].tty_id = open(dev, O_RDWR|O_NONBLOCK,600);
""",
        after="""\
          BX_SER_THIS s[i].tty_id = open(dev, O_RDWR|O_NOCTTY);
""",
    ),
    Fix(
        # Memory is taken in blocks, each when it is first used, so what is beyond the
        # first block of an image went to where other addresses are.
        why="an optramimage larger than a block of memory",
        file="memory/misc_mem.cc",
        before="""\
    ret = read(fd, (bx_ptr_t) BX_MEM_THIS get_vector(offset), size);
    if (ret <= 0) {
      BX_PANIC(("RAM:""",
        after="""\
    unsigned long in_page = 4096 - (offset & 4095);
    ret = read(fd, (bx_ptr_t) BX_MEM_THIS get_vector(offset), size < in_page ? size : in_page);
    if (ret <= 0) {
      BX_PANIC(("RAM:""",
    ),
    Fix(
        # Each CPU takes three timers and the devices about twenty, so that 15 CPUs
        # with two serial lines did not start.
        why="too few timers for 15 CPUs",
        file="pc_system.h",
        before="""\
#define BX_MAX_TIMERS 64
""",
        after="""\
#define BX_MAX_TIMERS 128
""",
    ),
    Fix(
        # BOCHS_TICKS names a file of 8 bytes, which holds the count of ticks from then on. It is
        # written where the count itself is, so that nothing else changes: no timer, no system call.
        why="nobody outside can tell how many ticks have passed",
        file="pc_system.cc",
        before="""\
void bx_pc_system_c::initialize(Bit32u ips)
{
""",
        after="""\
#include <sys/mman.h>

static volatile Bit64u own_ticks, *told_ticks = &own_ticks;

void bx_pc_system_c::initialize(Bit32u ips)
{
  if (const char *path = getenv("BOCHS_TICKS")) {
    int fd = open(path, O_RDWR);
    void *at = mmap(NULL, sizeof(Bit64u), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
      BX_PANIC(("no ticks can be told to %s", path));
    else
      told_ticks = (volatile Bit64u *) at;
    close(fd);
  }
""",
    ),
    Fix(
        why="the same: the count is told",
        file="pc_system.cc",
        before="""\
  ticksTotal += Bit64u(currCountdownPeriod);
""",
        after="""\
  ticksTotal += Bit64u(currCountdownPeriod);
  *told_ticks = ticksTotal;
""",
    ),
]


def mend(directory: Path) -> None:
    """Apply every fix, or raise ValueError before anything was written."""
    texts: dict[Path, str] = {}
    for fix in FIXES:
        path = directory / fix.file
        text = texts.get(path) or path.read_text(encoding="latin-1")
        found = text.count(fix.before)
        if found != 1:
            raise ValueError(
                f"{fix.file}: the place to mend ({fix.why}) was found {found} times, not once"
            )
        texts[path] = text.replace(fix.before, fix.after)
    for path, text in texts.items():
        path.write_text(text, encoding="latin-1")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        mend(Path(arguments[0]))
    except (OSError, ValueError) as error:
        print(f"bochs-fixes: {error}", file=sys.stderr)
        return 1
    for fix in FIXES:
        print(f"mended {fix.file}: {fix.why}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
