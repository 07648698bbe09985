// SPDX-License-Identifier: MIT
#include "boot/cmdline.h"

#include "boot/multiboot2.h"
#include "lib/string.h"

bool cmdline_value(const char *key, char *value, size_t size)
{
    size_t n = strlen(key);
    value[0] = '\0';
    for (const char *word = boot_info.cmdline; *word != '\0';) {
        size_t len = 0;
        while (word[len] != '\0' && word[len] != ' ')
            len++;
        if (len > n && strncmp(word, key, n) == 0 && word[n] == '=') {
            size_t copy = MIN(len - n - 1, size - 1);
            memcpy(value, word + n + 1, copy);
            value[copy] = '\0';
            return true;
        }
        word += len;
        while (*word == ' ')
            word++;
    }
    return false;
}
