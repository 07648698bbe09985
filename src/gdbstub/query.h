// SPDX-License-Identifier: MIT
// The general queries and settings: packets that begin with q or Q.
#pragma once

void query_supported(const char *args);
void query_no_ack(const char *args);
void query_current(const char *args);
void query_attached(const char *args);
void query_first_threads(const char *args);
void query_more_threads(const char *args);
void query_thread_info(const char *args);
void query_features(const char *args);
void query_threads(const char *args);
void query_symbol(const char *args);
void query_physical(const char *args);
void set_physical(const char *args);
void query_sstep_bits(const char *args);
void query_sstep(const char *args);
void set_sstep(const char *args);
