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
