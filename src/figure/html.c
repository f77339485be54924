/* HTML pages that stand alone. */
#include "figure/html.h"

#include <string.h>

#include "base/check.h"

kata_status kata__html_text(kata__buffer *out, const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        size_t plain = 0;
        while (c[plain] != '\0' && strchr("&<>\"'", c[plain]) == NULL &&
               ((unsigned char)c[plain] >= 0x20 || c[plain] == '\n' || c[plain] == '\t')) {
            plain++;
        }
        kata__buffer_append(out, c, plain);
        c += plain;
        switch (*c) {
        case '\0':
            return out->status;
        case '&':
            kata__buffer_text(out, "&amp;");
            break;
        case '<':
            kata__buffer_text(out, "&lt;");
            break;
        case '>':
            kata__buffer_text(out, "&gt;");
            break;
        case '"':
            kata__buffer_text(out, "&quot;");
            break;
        case '\'':
            kata__buffer_text(out, "&#39;");
            break;
        default:
            kata__buffer_text(out, "\xef\xbf\xbd");
            break;
        }
    }
    return out->status;
}

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1f2933;--soft:#5f6b7a;--line:#d5dbe3;--page:#fff;"
    "--card:#f4f6f9}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa7b8;--line:#3a4454;"
    "--page:#151a21;--card:#1e252f}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:24px 20px 60px;max-width:1080px;background:var(--page);"
    "color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:24px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}\n"
    "h2{font-size:18px;margin:36px 0 12px}\n"
    "p{margin:0 0 12px}.soft{color:var(--soft)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;"
    "margin:20px 0}\n"
    ".card{background:var(--card);border-radius:8px;padding:12px 14px}\n"
    ".card b{display:block;font-size:21px;line-height:1.3;font-variant-numeric:tabular-nums;"
    "overflow-wrap:anywhere}\n"
    ".card span{color:var(--soft);font-size:13px}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));"
    "gap:28px;margin-bottom:12px}\n"
    ".kata-plot{width:100%;height:auto;display:block}\n"
    ".scroll{overflow-x:auto;margin-bottom:12px}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:4px 14px 4px 0;text-align:right;border-bottom:1px solid var(--line);"
    "white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left}\n"
    "table.text td{text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    "table.text th{text-align:left;vertical-align:top;font-weight:400;color:var(--soft)}\n"
    "th{font-weight:600}tr.sum td{font-weight:600}\n"
    "@media (max-width:500px){th,td{padding-right:9px;font-size:13px}}\n"
    ".mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(92px,1fr));gap:14px}\n"
    "figure{margin:0}figcaption{font-size:13px;color:var(--soft);line-height:1.35;"
    "overflow-wrap:anywhere}figcaption b{color:var(--ink)}\n"
    ".pixels{width:100%;max-width:112px;aspect-ratio:1;object-fit:contain;image-rendering:"
    "pixelated;"
    "display:block;background:#000;border-radius:6px;margin-bottom:4px}\n"
    "pre{background:var(--card);border-radius:8px;padding:14px;overflow-x:auto;"
    "font:13px/1.5 ui-monospace,monospace;margin:0}\n";

kata_status kata__html_begin(kata__buffer *out, const char *title) {
    kata__buffer_text(
        out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'; img-src data:\">\n"
             "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    kata__html_text(out, title);
    kata__buffer_text(out, "</title>\n<style>\n");
    kata__buffer_text(out, style);
    return kata__buffer_text(out, "</style>\n</head>\n<body>\n");
}

kata_status kata__html_end(kata__buffer *out) {
    return kata__buffer_text(out, "</body>\n</html>\n");
}

/* --- PNG ----------------------------------------------------------------------------------------
 */

static uint32_t crc_of(uint32_t crc, const uint8_t *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++) {
            crc = (crc >> 1) ^ (UINT32_C(0xedb88320) & (0u - (crc & 1)));
        }
    }
    return crc;
}

static void put_u32(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

/* One piece of a chunk's data, with the running sum. */
static void put(kata__buffer *out, uint32_t *crc, const void *data, size_t n) {
    *crc = crc_of(*crc, data, n);
    kata__buffer_append(out, data, n);
}

static void chunk_begin(kata__buffer *out, uint32_t *crc, const char *type, uint32_t length) {
    uint8_t size[4];
    put_u32(size, length);
    kata__buffer_append(out, size, 4);
    *crc = UINT32_C(0xffffffff);
    put(out, crc, type, 4);
}

static void chunk_end(kata__buffer *out, uint32_t crc) {
    uint8_t sum[4];
    put_u32(sum, ~crc);
    kata__buffer_append(out, sum, 4);
}

kata_status kata__png_write(kata__buffer *out, const uint8_t *pixels, int channels, int height,
                            int width) {
    static const uint8_t magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint32_t crc, a = 1, b = 0;
    uint8_t header[13] = {0}, sum[4];
    size_t row = (size_t)width * (size_t)channels;
    if (width < 1 || height < 1 || (channels != 1 && channels != 3) || row > 65534 ||
        (row + 6) * (size_t)height > ((size_t)1 << 30)) {
        return kata_fail(KATA_LIMIT, "a picture of %dx%dx%d is too large for this PNG writer",
                         channels, height, width);
    }
    kata__buffer_append(out, magic, sizeof magic);
    put_u32(header, (uint32_t)width);
    put_u32(header + 4, (uint32_t)height);
    header[8] = 8;
    header[9] = channels == 1 ? 0 : 2; /* grey, RGB */
    chunk_begin(out, &crc, "IHDR", 13);
    put(out, &crc, header, 13);
    chunk_end(out, crc);
    /* RFC 1950 and 1951: each row is one stored block: final?, length, ~length, filter 0, bytes. */
    chunk_begin(out, &crc, "IDAT", (uint32_t)(2 + (size_t)height * (row + 6) + 4));
    put(out, &crc, "\x78\x01", 2);
    for (int y = 0; y < height; y++) {
        const uint8_t *line = pixels + (size_t)y * row;
        uint32_t n = (uint32_t)row + 1;
        uint8_t block[6] = {y == height - 1, (uint8_t)n,         (uint8_t)(n >> 8),
                            (uint8_t)(~n),   (uint8_t)(~n >> 8), 0};
        put(out, &crc, block, 6);
        put(out, &crc, line, row);
        b = (b + a) % 65521; /* the filter byte 0 */
        for (size_t i = 0; i < row; i++) {
            a = (a + line[i]) % 65521;
            b = (b + a) % 65521;
        }
    }
    put_u32(sum, b << 16 | a);
    put(out, &crc, sum, 4);
    chunk_end(out, crc);
    chunk_begin(out, &crc, "IEND", 0);
    chunk_end(out, crc);
    return out->status;
}

static void base64(kata__buffer *out, const uint8_t *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t word = (uint32_t)data[i] << 16;
        word |= i + 1 < n ? (uint32_t)data[i + 1] << 8 : 0;
        word |= i + 2 < n ? (uint32_t)data[i + 2] : 0;
        char four[4] = {digits[word >> 18], digits[word >> 12 & 63],
                        i + 1 < n ? digits[word >> 6 & 63] : '=',
                        i + 2 < n ? digits[word & 63] : '='};
        kata__buffer_append(out, four, 4);
    }
}

kata_status kata__html_picture(kata__buffer *out, const uint8_t *pixels, int channels, int height,
                               int width, const char *css, const char *alternative) {
    kata__buffer png;
    kata__buffer_init(&png, out->context, (size_t)1 << 30);
    kata_status status = kata__png_write(&png, pixels, channels, height, width);
    if (status == KATA_OK) {
        kata__buffer_printf(out, "<img class=\"%s\" alt=\"", css);
        kata__html_text(out, alternative);
        kata__buffer_text(out, "\" src=\"data:image/png;base64,");
        base64(out, (const uint8_t *)png.data, png.size);
        status = kata__buffer_text(out, "\">");
    }
    kata__buffer_free(&png);
    return status;
}
