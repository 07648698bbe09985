// SPDX-License-Identifier: MIT
// The target description: target.xml.
#include "gdbstub/reg_table.h"
#include "gdbstub/regs.h"
#include "lib/string.h"

static const char header[] =
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>";

static const struct {
    const char *name;
    const char *types; // that its registers use
} features[FEATURES] = {
    [CORE] = {"org.gnu.gdb.i386.core",
              "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/>"
              "<field name=\"\" start=\"1\" end=\"1\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
              "<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
              "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
              "<field name=\"IF\" start=\"9\" end=\"9\"/>"
              "<field name=\"DF\" start=\"10\" end=\"10\"/>"
              "<field name=\"OF\" start=\"11\" end=\"11\"/>"
              "<field name=\"NT\" start=\"14\" end=\"14\"/>"
              "<field name=\"RF\" start=\"16\" end=\"16\"/>"
              "<field name=\"VM\" start=\"17\" end=\"17\"/>"
              "<field name=\"AC\" start=\"18\" end=\"18\"/>"
              "<field name=\"VIF\" start=\"19\" end=\"19\"/>"
              "<field name=\"VIP\" start=\"20\" end=\"20\"/>"
              "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>"},
    [SSE] = {"org.gnu.gdb.i386.sse",
             "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
             "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
             "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
             "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
             "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
             "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
             "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
             "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
             "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
             "<field name=\"v2_int64\" type=\"v2i64\"/>"
             "<field name=\"uint128\" type=\"uint128\"/></union>"},
    [SEGMENTS] = {"org.gnu.gdb.i386.segments", ""},
    [SYSTEM] = {"org.vitrine.system", ""},
    [AVX] = {"org.gnu.gdb.i386.avx", ""},
};

static void add(struct window *w, const char *text)
{
    window_add(w, text, strlen(text));
}

static void describe_register(struct window *w, const struct reg_entry *e, unsigned i)
{
    char buf[160];
    struct text t = TEXT(buf);

    text_add(&t, "<reg name=\"%s", e->name);
    if (e->count > 1)
        text_add(&t, "%u", e->first + i);
    text_add(&t, "%s\" bitsize=\"%u\"", e->suffix, e->bytes * 8);
    if (e->type != NULL)
        text_add(&t, " type=\"%s\"", e->type);
    text_add(&t, "/>");
    window_add(w, buf, t.len);
}

void description(struct session *session, unsigned pid, struct window *w)
{
    const struct reg_entry *e = reg_table(session, pid);

    add(w, header);
    add(w, session->process[pid].layout_32 ? "i386" : "i386:x86-64");
    add(w, "</architecture>");
    while (e->name != NULL && (e->feature != AVX || target_has_avx(pid))) {
        enum reg_feature feature = e->feature;
        add(w, "<feature name=\"");
        add(w, features[feature].name);
        add(w, "\">");
        add(w, features[feature].types);
        for (; e->name != NULL && e->feature == feature; e++) {
            for (unsigned i = 0; i < e->count; i++)
                describe_register(w, e, i);
        }
        add(w, "</feature>");
    }
    add(w, "</target>");
}
