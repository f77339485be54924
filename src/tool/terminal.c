/* The terminal: width, colour, and texts that are fit to print. */
#include "tool/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool kata__terminal_is(int descriptor) {
    const char *term = getenv("TERM");
    return isatty(descriptor) && (term == NULL || strcmp(term, "dumb") != 0);
}

int kata__terminal_width(int descriptor) {
    struct winsize size = {.ws_col = 0};
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    const char *columns = getenv("COLUMNS");
    long n = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return n > 0 && n < 10000 ? (int)n : 80;
}

bool kata__terminal_colour(int descriptor) {
    const char *no = getenv("NO_COLOR");
    return kata__terminal_is(descriptor) && (no == NULL || no[0] == '\0');
}

bool kata__terminal_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
        }
    }
    return false;
}

void kata__terminal_print(FILE *file, const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
        /* U+0080..U+009F, the other control characters, are C2 80..9F. */
        if (byte == 0xc2 && ((unsigned char)c[1] & 0xe0) == 0x80) {
            control = true;
            c++;
        }
        fputc(control ? '?' : byte, file);
    }
}

/* The Unicode ranges that terminals draw two columns wide (East Asian Width W and F), in the large.
 */
static bool is_wide(uint32_t c) {
    return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0x303e) ||
           (c >= 0x3041 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) ||
           (c >= 0xff00 && c <= 0xff60) || (c >= 0xffe0 && c <= 0xffe6) ||
           (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
}

int kata__text_columns(const char *text) {
    int columns = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0';) {
        int more = *c >= 0xf0 ? 3 : *c >= 0xe0 ? 2 : *c >= 0xc0 ? 1 : 0;
        uint32_t code = more == 0 ? *c : *c & (0x3fu >> more);
        c++;
        for (; more > 0 && (*c & 0xc0) == 0x80; more--, c++) {
            code = code << 6 | (*c & 0x3fu);
        }
        bool combining = (code >= 0x300 && code <= 0x36f) || (code >= 0x3099 && code <= 0x309a) ||
                         code == 0x200d || (code >= 0xfe00 && code <= 0xfe0f);
        columns += combining ? 0 : is_wide(code) ? 2 : 1;
    }
    return columns;
}

const char *kata__count_text(int64_t n, char text[KATA__TERMINAL_TEXT]) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)(n < 0 ? -n : n));
    char *to = text;
    if (n < 0) {
        *to++ = '-';
    }
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

const char *kata__bytes_text(double n_bytes, char text[KATA__TERMINAL_TEXT]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (n_bytes >= 1024 && unit < 4) {
        n_bytes /= 1024;
        unit++;
    }
    snprintf(text, KATA__TERMINAL_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", n_bytes, units[unit]);
    return text;
}

const char *kata__time_text(double seconds, char text[KATA__TERMINAL_TEXT]) {
    if (!(seconds >= 0) || seconds > 1e8) {
        snprintf(text, KATA__TERMINAL_TEXT, "-:--");
        return text;
    }
    long n = lround(seconds);
    if (n >= 3600) {
        snprintf(text, KATA__TERMINAL_TEXT, "%ld:%02ld:%02ld", n / 3600, n / 60 % 60, n % 60);
    } else {
        snprintf(text, KATA__TERMINAL_TEXT, "%ld:%02ld", n / 60, n % 60);
    }
    return text;
}
