// SPDX-License-Identifier: MIT
// qSearch:memory and qCRC: gdb's `find` and `compare-sections` without a byte of the memory on the
// line. Memory may be large: it is gone through in slices, between which the core does its other
// work, and the reply comes when that is done. A packet that comes before ends it without a reply.
#pragma once

#include "gdbstub/session.h"

// The packets. Of what is searched, pages that are not there are passed over; a CRC is an error
// then.
void packet_search(struct session *session, const struct packet_args *a);
void packet_crc(struct session *session, const struct packet_args *a);

// The next slice, if there is something to do. On the line's core.
void search_poll(struct session *session);

// Gives up what is being done.
void search_end(struct session *session);
