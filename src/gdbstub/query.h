// SPDX-License-Identifier: MIT
// The general queries and settings: packets that begin with q or Q.
#pragma once

#include "gdbstub/session.h"

#define BAD_SSTEP "not such bits"

// Packets about the session as a whole: ?, one whose reply is OK and that is all, vHangUp.
void packet_why(struct session *session, const struct packet_args *a);
void packet_ok(struct session *session, const struct packet_args *a);
void packet_hang_up(struct session *session, const struct packet_args *a);

void query_supported(struct session *session, const struct packet_args *a);
void query_no_ack(struct session *session, const struct packet_args *a);
void query_current(struct session *session, const struct packet_args *a);
void query_attached(struct session *session, const struct packet_args *a);
void query_first_threads(struct session *session, const struct packet_args *a);
void query_more_threads(struct session *session, const struct packet_args *a);
void query_thread_info(struct session *session, const struct packet_args *a);
void query_features(struct session *session, const struct packet_args *a);
void query_threads(struct session *session, const struct packet_args *a);
void query_no_annex(struct session *session,
                    const struct packet_args *a); // an object that there is not
void query_physical(struct session *session, const struct packet_args *a);
void set_physical(struct session *session, const struct packet_args *a);
void query_sstep_bits(struct session *session, const struct packet_args *a);
void query_sstep(struct session *session, const struct packet_args *a);
void set_sstep(struct session *session, const struct packet_args *a);
