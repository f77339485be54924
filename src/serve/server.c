/* The HTTP side: libmicrohttpd's threads, routes, bodies, replies. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "graph/graph.h"
#include "serve/answer.h"
#include "serve/form.h"
#include "serve/serve.h"
#include "serve/web.h"

#define BODY_MAXIMUM ((size_t)16 << 20)
#define REPLY_MAXIMUM ((size_t)64 << 20)
#define HEADER_MEMORY ((size_t)64 << 10) /* a connection's memory for headers */
#define IDLE_SECONDS 30
#define MOST_CONNECTIONS 256
#define MOST_ROUTES 16

struct kata__server {
    kata_context *context;
    kata__served served;
    struct MHD_Daemon *daemon;
    int port;
    bool log;
    char name[72];
    char picture_routes[MOST_ROUTES + 1][96];
    int n_picture_routes;
    char predict_route[128], model_route[128];
};

/* --- names ------------------------------------------------------------------------------------ */

kata_status kata__serve_check_name(const char *name) {
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (n < 1 || n > 64 || name[n] != '\0' || name[0] == '.') {
        return kata_fail(KATA_INVALID,
                         "a model's name has 1 to 64 of the characters A-Z a-z 0-9 . _ - and does "
                         "not begin with a point; %.80s does not",
                         name);
    }
    return KATA_OK;
}

kata_status kata__serve_check_route(const char *route) {
    static const char *const taken[] = {"/", "/healthz", "/v1"};
    if (route[0] != '/' || kata__serve_check_name(route + 1) != KATA_OK) {
        return kata_fail(KATA_INVALID,
                         "a route is / and 1 to 64 of the characters A-Z a-z 0-9 . _ -, e.g. "
                         "/mnist; %.80s is not",
                         route);
    }
    for (size_t i = 0; i < KATA__COUNT(taken); i++) {
        if (strcmp(route, taken[i]) == 0) {
            return kata_fail(KATA_INVALID, "the route %s is the server's own", route);
        }
    }
    return KATA_OK;
}

/* --- replies ---------------------------------------------------------------------------------- */

/* One request. */
typedef struct request {
    kata__server *server;
    kata__buffer body, reply;
    const char *form; /* the Content-Type of a form's body; NULL: the body is the picture */
    bool too_large;
    uint64_t start_ns;
} request;

/* allow: the methods of a path that was asked by another one; NULL: no such header. */
static enum MHD_Result send_bytes(struct MHD_Connection *connection, unsigned status,
                                  const char *type, const char *allow, const void *data,
                                  size_t n_bytes, enum MHD_ResponseMemoryMode mode) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(n_bytes, (void *)(uintptr_t)data, mode);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'");
    if (allow != NULL) {
        MHD_add_response_header(response, "Allow", allow);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status,
                                 const char *allow, const kata__buffer *body) {
    return send_bytes(connection, status, "application/json", allow, body->data, body->size,
                      MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result send_fault(request *r, struct MHD_Connection *connection, unsigned status,
                                  const char *allow, const char *sentence) {
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", sentence);
    kata__buffer_clear(&r->reply);
    kata__buffer_text(&r->reply, "{\"error\":");
    kata__buffer_json_string(&r->reply, copy);
    kata__buffer_text(&r->reply, "}\n");
    if (r->reply.status != KATA_OK) {
        static const char short_of_memory[] = "{\"error\":\"out of memory\"}\n";
        return send_bytes(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "application/json", NULL,
                          short_of_memory, sizeof short_of_memory - 1, MHD_RESPMEM_PERSISTENT);
    }
    return send_json(connection, status, allow, &r->reply);
}

static enum MHD_Result send_error(request *r, struct MHD_Connection *connection, unsigned status,
                                  const char *sentence) {
    return send_fault(r, connection, status, NULL, sentence);
}

/* What a failed answer means in HTTP: the client's fault, or ours. */
static unsigned http_status(kata_status status) {
    switch (status) {
    case KATA_INVALID:
    case KATA_SHAPE:
    case KATA_DTYPE:
    case KATA_FORMAT:
        return MHD_HTTP_BAD_REQUEST;
    case KATA_LIMIT:
        return MHD_HTTP_CONTENT_TOO_LARGE;
    case KATA_UNSUPPORTED:
        return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
    case KATA_OUT_OF_MEMORY:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

static enum MHD_Result send_answer(request *r, struct MHD_Connection *connection,
                                   kata_status status) {
    if (status != KATA_OK) {
        return send_error(r, connection, http_status(status), kata_error_message());
    }
    return send_json(connection, MHD_HTTP_OK, NULL, &r->reply);
}

/* --- routes ----------------------------------------------------------------------------------- */

static bool is_picture_route(const kata__server *server, const char *url) {
    for (int i = 0; i < server->n_picture_routes; i++) {
        if (strcmp(url, server->picture_routes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_post_route(const kata__server *server, const char *url) {
    return is_picture_route(server, url) || strcmp(url, server->predict_route) == 0;
}

/* The methods of a path; NULL: there is no such path. */
static const char *methods_of(const kata__server *server, const char *url) {
    if (is_post_route(server, url)) {
        return "POST";
    }
    return strcmp(url, "/") == 0 || strcmp(url, "/healthz") == 0 ||
                   strcmp(url, "/v1/models") == 0 || strcmp(url, server->model_route) == 0 ||
                   kata__web_find(url) != NULL
               ? "GET, HEAD"
               : NULL;
}

static enum MHD_Result not_found(request *r, struct MHD_Connection *connection, const char *url) {
    const char *names[MOST_ROUTES + 4];
    char sentence[256];
    size_t n = 0;
    for (int i = 0; i < r->server->n_picture_routes; i++) {
        names[n++] = r->server->picture_routes[i];
    }
    names[n++] = r->server->predict_route;
    names[n++] = r->server->model_route;
    names[n++] = "/healthz";
    const char *nearest = kata__text_nearest(url, names, n);
    snprintf(sentence, sizeof sentence, "there is no %.80s%s%s%s", url,
             nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
             nearest != NULL ? "?" : "");
    return send_error(r, connection, MHD_HTTP_NOT_FOUND, sentence);
}

/* GET /v1/models lists {"models":[...]}, GET /v1/models/NAME the one. */
static enum MHD_Result describe_model(request *r, struct MHD_Connection *connection, bool list) {
    const kata__served *served = &r->server->served;
    kata__buffer *out = &r->reply;
    kata__buffer_text(out, list ? "{\"models\":[" : "");
    kata__buffer_text(out, "{\"name\":");
    kata__buffer_json_string(out, served->name);
    kata__buffer_text(out,
                      ",\"model_version_status\":[{\"version\":\"1\",\"state\":\"AVAILABLE\"}],"
                      "\"input\":[");
    for (int i = 0; i < served->input.rank; i++) {
        kata__buffer_printf(out, i > 0 ? ",%lld" : "%lld", (long long)served->input.dim[i]);
    }
    kata__buffer_printf(out, "],\"outputs\":%lld,\"picture_routes\":[",
                        (long long)served->n_outputs);
    for (int i = 0; i < r->server->n_picture_routes; i++) {
        kata__buffer_text(out, i > 0 ? "," : "");
        kata__buffer_json_string(out, r->server->picture_routes[i]);
    }
    kata__buffer_text(out, list ? "]}]}\n" : "]}\n");
    return send_answer(r, connection, out->status);
}

static enum MHD_Result answer_get(request *r, struct MHD_Connection *connection, const char *url) {
    static const char healthy[] = "{\"status\":\"ok\"}\n";
    if (strcmp(url, "/healthz") == 0) {
        return send_bytes(connection, MHD_HTTP_OK, "application/json", NULL, healthy,
                          sizeof healthy - 1, MHD_RESPMEM_PERSISTENT);
    }
    bool list = strcmp(url, "/v1/models") == 0;
    if (list || strcmp(url, r->server->model_route) == 0) {
        return describe_model(r, connection, list);
    }
    const kata__web_file *file = kata__web_find(strcmp(url, "/") == 0 ? "/index.html" : url);
    if (file != NULL) {
        return send_bytes(connection, MHD_HTTP_OK, file->type, NULL, file->data, file->n_bytes,
                          MHD_RESPMEM_PERSISTENT);
    }
    return not_found(r, connection, url);
}

static enum MHD_Result answer_post(request *r, struct MHD_Connection *connection, const char *url) {
    kata__served *served = &r->server->served;
    if (r->too_large) {
        return send_error(r, connection, MHD_HTTP_CONTENT_TOO_LARGE,
                          "the body is larger than 16 MiB");
    }
    if (r->body.status != KATA_OK) {
        return send_error(r, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    }
    if (r->body.size == 0) {
        return send_error(r, connection, MHD_HTTP_BAD_REQUEST, "the body is empty");
    }
    if (is_picture_route(r->server, url)) {
        const char *detail =
            MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "detail");
        const char *file = r->body.data;
        size_t n_file = r->body.size;
        kata_status status = KATA_OK;
        if (r->form != NULL) {
            status = kata__form_file(r->form, r->body.data, r->body.size, &file, &n_file);
        }
        if (status == KATA_OK) {
            status = kata__answer_picture(served, file, n_file,
                                          detail != NULL && strcmp(detail, "0") != 0, &r->reply);
        }
        return send_answer(r, connection, status);
    }
    return send_answer(r, connection,
                       kata__answer_instances(served, r->body.data, r->body.size, &r->reply));
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void take_bytes(request *r, const void *data, size_t n_bytes) {
    if (r->too_large || r->body.size + n_bytes > BODY_MAXIMUM) {
        r->too_large = true;
        return;
    }
    kata__buffer_append(&r->body, data, n_bytes);
}

static request *begin(kata__server *server, struct MHD_Connection *connection) {
    request *r = kata__alloc_zero(server->context, 1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->server = server;
    r->start_ns = kata__clock_ns();
    kata__buffer_init(&r->body, server->context, BODY_MAXIMUM + 1);
    kata__buffer_init(&r->reply, server->context, REPLY_MAXIMUM);
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    r->form = kata__form_is(type) ? type : NULL;
    return r;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *n_bytes, void **state) {
    kata__server *server = user;
    request *r = *state;
    (void)version;
    if (r == NULL) {
        *state = begin(server, connection);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    bool post = strcmp(method, "POST") == 0;
    if (*n_bytes > 0) {
        if (post && is_post_route(server, url)) {
            take_bytes(r, data, *n_bytes);
        }
        *n_bytes = 0;
        return MHD_YES;
    }
    const char *methods = methods_of(server, url);
    const bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (methods == NULL) {
        return not_found(r, connection, url);
    }
    if ((methods[0] == 'P') != post || (!post && !get)) {
        char sentence[64];
        snprintf(sentence, sizeof sentence, "use %s here", methods);
        return send_fault(r, connection, MHD_HTTP_METHOD_NOT_ALLOWED, methods, sentence);
    }
    if (get) {
        return answer_get(r, connection, url);
    }
    return answer_post(r, connection, url);
}

static void completed(void *user, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code) {
    kata__server *server = user;
    request *r = *state;
    (void)connection, (void)code;
    if (r == NULL) {
        return;
    }
    kata__buffer_free(&r->body);
    kata__buffer_free(&r->reply);
    kata__free(server->context, r);
    *state = NULL;
}

/* One line a request, with the path cut short and its control characters escaped by libmicrohttpd's
 * own parser (they cannot occur in a request line). */
static void *log_uri(void *user, const char *uri, struct MHD_Connection *connection) {
    kata__server *server = user;
    (void)connection;
    if (server->log) {
        kata_log(server->context, KATA_LOG_INFO, "request %.120s", uri);
    }
    return NULL;
}

/* --- life ---------------------------------------------------------------------------------------
 */

static kata_status resolve(const char *host, int port, struct sockaddr_storage *address,
                           socklen_t *length) {
    char service[16];
    struct addrinfo *list = NULL, hints = {.ai_family = AF_UNSPEC,
                                           .ai_socktype = SOCK_STREAM,
                                           .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    snprintf(service, sizeof service, "%d", port);
    int error = getaddrinfo(host, service, &hints, &list);
    if (error != 0) {
        return kata_fail(KATA_INVALID, "the host %.80s cannot be used: %s", host,
                         gai_strerror(error));
    }
    memcpy(address, list->ai_addr, list->ai_addrlen);
    *length = list->ai_addrlen;
    freeaddrinfo(list);
    return KATA_OK;
}

/* A listening socket, so that a busy port can be told from other faults. */
static kata_status listen_on(const char *host, int port, int *out, int *bound_port) {
    struct sockaddr_storage address = {0};
    socklen_t length = 0;
    char reason[128];
    KATA__TRY(resolve(host, port, &address, &length));
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        int error = errno;
        if (fd >= 0) {
            close(fd);
        }
        return kata_fail(KATA_IO, "cannot listen on %.80s port %d: %s%s", host, port,
                         kata__system_error(error, reason),
                         error == EADDRINUSE ? "; choose another with --port" : "");
    }
    *bound_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                      : ((struct sockaddr_in *)&address)->sin_port);
    *out = fd;
    return KATA_OK;
}

static kata_status set_routes(kata__server *server, const kata__server_options *options) {
    KATA__TRY(kata__serve_check_name(server->name));
    snprintf(server->picture_routes[server->n_picture_routes++], sizeof *server->picture_routes,
             "/%s", server->name);
    KATA__TRY(kata__serve_check_route(server->picture_routes[0]));
    for (int i = 0; i < options->n_routes; i++) {
        KATA__TRY(kata__serve_check_route(options->routes[i]));
        if (server->n_picture_routes > MOST_ROUTES) {
            return kata_fail(KATA_LIMIT, "at most %d routes", MOST_ROUTES);
        }
        snprintf(server->picture_routes[server->n_picture_routes++], sizeof *server->picture_routes,
                 "%s", options->routes[i]);
    }
    snprintf(server->model_route, sizeof server->model_route, "/v1/models/%s", server->name);
    snprintf(server->predict_route, sizeof server->predict_route, "/v1/models/%s:predict",
             server->name);
    return KATA_OK;
}

static kata_status start(kata__server *server, const kata__server_options *options) {
    int fd = -1;
    KATA__TRY(set_routes(server, options));
    KATA__TRY(listen_on(options->host != NULL ? options->host : "127.0.0.1", options->port, &fd,
                        &server->port));
    unsigned threads = (unsigned)kata_context_threads(server->context);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_URI_LOG_CALLBACK, log_uri,
        server, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)MOST_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADER_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 2U,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        close(fd);
        return kata_fail(KATA_IO, "the server's threads cannot be started");
    }
    return KATA_OK;
}

kata_status kata__server_start(kata__server **out, kata_model *model, const char *name,
                               const kata__server_options *options) {
    kata_context *context = kata_model_context(model);
    kata__server *server = kata__alloc_zero(context, 1, sizeof *server);
    if (server == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    server->context = context;
    server->log = options->log;
    snprintf(server->name, sizeof server->name, "%s", name);
    kata_status status = kata__served_init(&server->served, model, server->name);
    if (status == KATA_OK) {
        status = start(server, options);
    }
    if (status != KATA_OK) {
        kata__served_free(&server->served);
        kata__free(context, server);
        return status;
    }
    *out = server;
    return KATA_OK;
}

void kata__server_stop(kata__server *server) {
    if (server == NULL) {
        return;
    }
    MHD_stop_daemon(server->daemon);
    kata__served_free(&server->served);
    kata__free(server->context, server);
}

int kata__server_port(const kata__server *server) {
    return server->port;
}
