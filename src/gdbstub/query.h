// SPDX-License-Identifier: MIT
// The general queries and settings: packets that begin with q or Q.
#pragma once

#include "gdbstub/args.h"

#define BAD_SSTEP "not such bits"

// Packets about the session as a whole: ?, one whose reply is OK and that is all, vHangUp.
void packet_why(const struct packet_args *a);
void packet_ok(const struct packet_args *a);
void packet_hang_up(const struct packet_args *a);

void query_supported(const struct packet_args *a);
void query_no_ack(const struct packet_args *a);
void query_current(const struct packet_args *a);
void query_attached(const struct packet_args *a);
void query_first_threads(const struct packet_args *a);
void query_more_threads(const struct packet_args *a);
void query_thread_info(const struct packet_args *a);
void query_features(const struct packet_args *a);
void query_threads(const struct packet_args *a);
void query_no_annex(const struct packet_args *a); // an object that there is not
void query_physical(const struct packet_args *a);
void set_physical(const struct packet_args *a);
void query_sstep_bits(const struct packet_args *a);
void query_sstep(const struct packet_args *a);
void set_sstep(const struct packet_args *a);
