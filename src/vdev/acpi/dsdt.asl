// SPDX-License-Identifier: MIT
// What the guest's ACPI namespace says of the board in src/vdev/board.c. Processors are in the MADT.
DefinitionBlock ("", "DSDT", 2, "VITRIN", "VITRINE", 1)
{
    Name (\_S5, Package () { 0, 0, 0, 0 }) // SLP_TYP_S5

    // The interrupt model that the OS chose; both need the same routing here.
    Name (\PICM, 0)
    Method (\_PIC, 1)
    {
        PICM = Arg0
    }

    // Bit n: there is a COMn+1. acpi.c writes here; the 3 is how it finds the place.
    Name (\UART, 3)

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0xff, 0, 0x100)
                IO (Decode16, 0xcf8, 0xcf8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0, 0xcf7, 0, 0xcf8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0xd00, 0xffff, 0, 0xf300)
                // Behind the largest RAM below 4 GiB, before the IOAPIC.
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0, 0xe0000000, 0xfebfffff, 0, 0x1ec00000)
            })

            Device (PIC)
            {
                Name (_HID, EisaId ("PNP0000"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x20, 0x20, 1, 2)
                    IO (Decode16, 0xa0, 0xa0, 1, 2)
                    IO (Decode16, 0x4d0, 0x4d0, 1, 2)
                    IRQNoFlags () { 2 }
                })
            }

            Device (TIMR)
            {
                Name (_HID, EisaId ("PNP0100"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x40, 0x40, 1, 4)
                    IRQNoFlags () { 0 }
                })
            }

            Device (SPKR)
            {
                Name (_HID, EisaId ("PNP0800"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x61, 0x61, 1, 1)
                })
            }

            Device (RTC)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x70, 0x70, 1, 2)
                    IRQNoFlags () { 8 }
                })
            }

            Device (PS2K)
            {
                Name (_HID, EisaId ("PNP0303"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x60, 0x60, 1, 1)
                    IO (Decode16, 0x64, 0x64, 1, 1)
                    IRQNoFlags () { 1 }
                })
            }

            Device (COM1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x3f8, 0x3f8, 1, 8)
                    IRQNoFlags () { 4 }
                })
            }

            Device (COM2)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 2)
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x2f8, 0x2f8, 1, 8)
                    IRQNoFlags () { 3 }
                })
            }

            Device (COM3)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 3)
                Method (_STA)
                {
                    If (UART & 4)
                    {
                        Return (0xf)
                    }
                    Return (0)
                }
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x3e8, 0x3e8, 1, 8)
                    IRQNoFlags () { 4 }
                })
            }

            Device (COM4)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 4)
                Method (_STA)
                {
                    If (UART & 8)
                    {
                        Return (0xf)
                    }
                    Return (0)
                }
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x2e8, 0x2e8, 1, 8)
                    IRQNoFlags () { 3 }
                })
            }
        }

        // What belongs to the board and to nobody's driver.
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x80, 0x80, 1, 1)
                IO (Decode16, 0x92, 0x92, 1, 1)
                IO (Decode16, 0xb2, 0xb2, 1, 2)
                IO (Decode16, 0xe9, 0xe9, 1, 1)
                IO (Decode16, 0xf4, 0xf4, 1, 4)
                IO (Decode16, 0x402, 0x402, 1, 1)
                IO (Decode16, 0x510, 0x510, 1, 2)
                IO (Decode16, 0x600, 0x600, 1, 12)
            })
        }
    }
}
