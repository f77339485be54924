/* Getting a known data set, by libcurl. */
#include "tool/download.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/data.h"
#include "tool/progress.h"

static const size_t largest_file = (size_t)1 << 30;

typedef struct transfer {
    CURL *curl;
    FILE *part;
    const char *name;
    curl_off_t resumed; /* bytes of the .part that are there already */
} transfer;

static size_t on_data(char *data, size_t size, size_t n, void *user) {
    const transfer *t = user;
    return fwrite(data, size, n, t->part) * size;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up) {
    const transfer *t = user;
    (void)up_total;
    (void)up;
    curl_off_t rate = 0;
    char right[KATA__TERMINAL_TEXT];
    if (total <= 0) {
        return 0;
    }
    curl_easy_getinfo(t->curl, CURLINFO_SPEED_DOWNLOAD_T, &rate);
    double all = (double)(total + t->resumed), done = (double)(now + t->resumed);
    kata__progress_draw(
        &(kata__progress_bar){.left = t->name,
                              .share = done / all,
                              .rate = (double)rate / 1024,
                              .unit = "KiB",
                              .seconds_left = rate > 0 ? (double)(total - now) / (double)rate : -1,
                              .right = kata__bytes_text(all, right)},
        now == total);
    return 0;
}

static void set_options(transfer *t, const char *url, char *error) {
    CURL *curl = t->curl;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)largest_file);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "kata/" KATA_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, t->resumed);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

/* Fetches `url` into `part`, behind what is there. */
static kata_status fetch(const char *url, const char *part, const char *name) {
    char error[CURL_ERROR_SIZE] = "", reason[KATA__SYSTEM_ERROR_SIZE];
    struct stat info;
    transfer t = {.name = name, .part = fopen(part, "ab")};
    if (t.part == NULL) {
        return kata_fail(KATA_IO, "cannot write %s: %s", part, kata__system_error(errno, reason));
    }
    t.resumed = fstat(fileno(t.part), &info) == 0 ? (curl_off_t)info.st_size : 0;
    t.curl = curl_easy_init();
    if (t.curl == NULL) {
        fclose(t.part);
        return kata_fail(KATA_OUT_OF_MEMORY, "libcurl cannot start");
    }
    set_options(&t, url, error);
    CURLcode code = curl_easy_perform(t.curl);
    long http = 0;
    curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(t.curl);
    kata__progress_clear();
    bool empty = ftello(t.part) == 0 && t.resumed == 0;
    bool written = fclose(t.part) == 0;
    if (empty) {
        unlink(part);
    }
    if (code == CURLE_RANGE_ERROR && t.resumed > 0) { /* this server sends whole files only */
        unlink(part);
        return fetch(url, part, name);
    }
    if (code == CURLE_WRITE_ERROR || !written) {
        return kata_fail(KATA_IO, "cannot write %s: is the disk full?", part);
    }
    if (code != CURLE_OK && http == 416) {
        return KATA_OK; /* nothing was missing; the sum decides */
    }
    if (code != CURLE_OK) {
        return kata_fail(KATA_IO, "%s: %s", url,
                         error[0] != '\0' ? error : curl_easy_strerror(code));
    }
    return KATA_OK;
}

/* Has the file, unpacked, the length and the sum that the table says? */
static kata_status check(kata__tool *tool, const kata__known_file *file, const char *path) {
    char *data, sum[KATA__SHA256_TEXT_SIZE];
    size_t n_bytes;
    KATA__TRY(kata__file_read(tool->context, path, largest_file, &data, &n_bytes));
    if (n_bytes >= 2 && (uint8_t)data[0] == 0x1f && (uint8_t)data[1] == 0x8b) {
        char *plain;
        size_t n_plain;
        kata_status status = kata__reader_hooks.gunzip(tool->context, data, n_bytes,
                                                       (size_t)file->n_bytes + 1, &plain, &n_plain);
        kata__free(tool->context, data);
        if (status != KATA_OK) {
            return kata_fail_in(status, "%s", path);
        }
        data = plain;
        n_bytes = n_plain;
    }
    kata__sha256_text(data, n_bytes, sum);
    kata__free(tool->context, data);
    if (n_bytes != file->n_bytes || strcmp(sum, file->sha256) != 0) {
        return kata_fail(KATA_FORMAT,
                         "%s has not the contents expected (SHA-256 %.16s..., not "
                         "%.16s...)",
                         path, sum, file->sha256);
    }
    return KATA_OK;
}

static kata_status get_from(kata__tool *tool, const kata__known_file *file, const char *mirror,
                            const char *part, const char *path) {
    char reason[KATA__SYSTEM_ERROR_SIZE];
    const char *url = kata__tool_text(tool, "%s%s", mirror, file->name);
    if (url == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    bool fresh = !kata__file_exists(part);
    KATA__TRY(fetch(url, part, file->name));
    kata_status status = check(tool, file, part);
    if (status != KATA_OK) {
        unlink(part);
        if (!fresh) { /* the old half may be another mirror's packing */
            KATA__TRY(fetch(url, part, file->name));
            status = check(tool, file, part);
            if (status != KATA_OK) {
                unlink(part);
            }
        }
    }
    if (status == KATA_OK && rename(part, path) != 0) {
        return kata_fail(KATA_IO, "cannot rename %s to %s: %s", part, path,
                         kata__system_error(errno, reason));
    }
    return status;
}

static kata_status get_file(kata__tool *tool, const kata__known_set *set,
                            const kata__known_file *file, const char *folder, int *mirror) {
    const char *path = kata__tool_text(tool, "%s/%s", folder, file->name);
    const char *part = kata__tool_text(tool, "%s/%s.part", folder, file->name);
    if (path == NULL || part == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (kata__file_exists(path)) {
        if (check(tool, file, path) == KATA_OK) {
            kata__tool_say(tool, "%s is there already", file->name);
            return KATA_OK;
        }
        kata__tool_say(tool, "%s; getting it again", kata_error_message());
    }
    kata_status status = KATA_IO;
    for (int i = 0; i < set->n_mirrors && status != KATA_OK; i++) {
        kata__tool_say(tool, "%s from %s", file->name, set->mirrors[*mirror]);
        status = get_from(tool, file, set->mirrors[*mirror], part, path);
        if (status != KATA_OK) {
            *mirror = (*mirror + 1) % set->n_mirrors;
            if (i + 1 < set->n_mirrors) {
                kata__tool_say(tool, "  %s", kata_error_message());
            }
        }
    }
    return status;
}

kata_status kata__download_set(kata__tool *tool, const kata__known_set *set, const char *folder) {
    KATA__TRY(kata__directory_make(folder));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return kata_fail(KATA_OUT_OF_MEMORY, "libcurl cannot start");
    }
    kata_status status = KATA_OK;
    int mirror = 0; /* the one that answered last */
    for (int i = 0; i < set->n_files && status == KATA_OK; i++) {
        status = get_file(tool, set, &set->files[i], folder, &mirror);
    }
    curl_global_cleanup();
    if (status != KATA_OK) {
        rmdir(folder); /* if nothing came; an empty folder would be taken for the set */
    }
    return status;
}
