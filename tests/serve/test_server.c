/* The server over real sockets: right answers, every wrong request gets one sentence and the right
 * status, hostile HTTP does not end it. Also the streaming reader of numbers alone. */
#include <arpa/inet.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <png.h>

#include <kata/readers.h>
#include <kata/train.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "serve/instances.h"
#include "serve/serve.h"

static kata_model *model;
static kata__server *server;
static uint8_t *picture; /* a PNG of a digit, dark on light */
static size_t n_picture;
static int true_class;
static int patience_s = 10; /* how long the client waits for an answer */

/* --- set-up ----------------------------------------------------------------------------------- */

/* Sample 0 of the test set, inverted and enlarged six times, as PNG. */
static void make_picture(const kata_dataset *test) {
    enum { SCALE = 6, MARGIN = 30, SIDE = 28 * SCALE + 2 * MARGIN };
    static uint8_t pixels[SIDE * SIDE];
    const uint8_t *digit = test->inputs[0].data;
    memset(pixels, 255, sizeof pixels);
    for (int y = 0; y < 28 * SCALE; y++) {
        for (int x = 0; x < 28 * SCALE; x++) {
            pixels[(y + MARGIN) * SIDE + x + MARGIN] =
                (uint8_t)(255 - digit[y / SCALE * 28 + x / SCALE]);
        }
    }
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = PNG_FORMAT_GRAY};
    png_alloc_size_t size = 0;
    assert_true(png_image_write_to_memory(&image, NULL, &size, 0, pixels, SIDE, NULL));
    picture = malloc(size);
    assert_true(png_image_write_to_memory(&image, picture, &size, 0, pixels, SIDE, NULL));
    n_picture = size;
    true_class = (int)((const int64_t *)test->targets[0].data)[0];
}

static int start(void **state) {
    (void)state;
    kata_data data = {0};
    kata_data_options options = {.limit_train = 4000, .limit_test = 10};
    kata_ready_options ready = {.rescale = 1 / 255.0};
    const char *const routes[] = {"/mnist"};
    kata_context *context = kata_context_default();
    kata_readers_install();
    if (kata_data_open(&data, context, "make:digits", &options) != KATA_OK ||
        kata_model_ready(&model, context, "mlp", &ready) != KATA_OK ||
        kata_compile(model, .optimizer = kata_adam(), .seed = 1) != KATA_OK ||
        kata_model_set_labels(model, (const char *const *)data.train->class_names,
                              data.train->n_classes) != KATA_OK ||
        kata_fit(model, data.train, .epochs = 4) != KATA_OK ||
        kata__server_start(&server, model, "digits",
                           &(kata__server_options){.routes = routes, .n_routes = 1}) != KATA_OK) {
        fprintf(stderr, "%s\n", kata_error_message());
        return 1;
    }
    make_picture(data.test);
    kata_data_close(&data);
    return 0;
}

static int stop(void **state) {
    (void)state;
    kata__server_stop(server);
    kata_model_free(model);
    free(picture);
    return 0;
}

/* --- a plain client --------------------------------------------------------------------------- */

static int connect_to_server(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)kata__server_port(server)),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct timeval timeout = {.tv_sec = patience_s};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return fd;
}

/* Sends the bytes, closes the writing side, reads all of the answer. Returns the HTTP status, 0:
 * none. */
static int exchange(const void *data, size_t n_bytes, char *answer, size_t n_answer) {
    int fd = connect_to_server(), status = 0;
    const char *at = data;
    while (n_bytes > 0) {
        ssize_t n = send(fd, at, n_bytes, MSG_NOSIGNAL);
        if (n <= 0) {
            break;
        }
        at += n;
        n_bytes -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    size_t got = 0;
    ssize_t n;
    while (got + 1 < n_answer && (n = recv(fd, answer + got, n_answer - 1 - got, 0)) > 0) {
        got += (size_t)n;
    }
    answer[got] = '\0';
    close(fd);
    sscanf(answer, "HTTP/1.%*d %d", &status);
    return status;
}

static int request(const char *method, const char *path, const char *headers, const void *body,
                   size_t n_body, char *answer, size_t n_answer) {
    char *all = malloc(n_body + 1024);
    int head =
        snprintf(all, 1024,
                 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
                 method, path, n_body, headers);
    if (n_body > 0) {
        memcpy(all + head, body, n_body);
    }
    int status = exchange(all, (size_t)head + n_body, answer, n_answer);
    free(all);
    return status;
}

static int post_json(const char *path, const char *body, char *answer, size_t n_answer) {
    return request("POST", path, "Content-Type: application/json\r\n", body, strlen(body), answer,
                   n_answer);
}

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (strstr(text, part) == NULL) {                                                          \
            fail_msg("\"%.600s\" does not contain \"%s\"", text, part);                            \
        }                                                                                          \
    } while (0)

/* --- right requests --------------------------------------------------------------------------- */

static void test_picture_as_form_and_as_body(void **state) {
    (void)state;
    char answer[8192], expected[32], *form = malloc(n_picture + 1024);
    int head = snprintf(form, 512,
                        "--xyz\r\nContent-Disposition: form-data; name=\"image\"; "
                        "filename=\"digit.png\"\r\nContent-Type: image/png\r\n\r\n");
    memcpy(form + head, picture, n_picture);
    memcpy(form + head + n_picture, "\r\n--xyz--\r\n", 11);
    const char *type = "Content-Type: multipart/form-data; boundary=xyz\r\n";
    snprintf(expected, sizeof expected, "{\"class\":%d}\n", true_class);
    assert_int_equal(request("POST", "/digits", type, form, (size_t)head + n_picture + 11, answer,
                             sizeof answer),
                     200);
    assert_contains(answer, expected);
    assert_int_equal(
        request("POST", "/mnist", type, form, (size_t)head + n_picture + 11, answer, sizeof answer),
        200);
    assert_contains(answer, expected);
    assert_int_equal(request("POST", "/mnist", "Content-Type: image/png\r\n", picture, n_picture,
                             answer, sizeof answer),
                     200);
    assert_contains(answer, expected);
    assert_int_equal(request("POST", "/digits?detail=1", type, form, (size_t)head + n_picture + 11,
                             answer, sizeof answer),
                     200);
    assert_contains(answer, "\"labels\":[0,1,2,3,4,5,6,7,8,9],\"probabilities\":[");
    assert_contains(answer, "Content-Type: application/json");
    free(form);
}

/* Parts of a form: "text:" a field of text, "file:" the picture; "--" ends it. */
static size_t make_form(char *form, const char *boundary, const char *const *parts) {
    size_t n = 0;
    for (int i = 0; parts[i] != NULL; i++) {
        const bool file = strcmp(parts[i], "file") == 0;
        n += (size_t)sprintf(form + n,
                             "--%s\r\ncontent-disposition: form-data; name=\"f%d\"%s\r\n\r\n",
                             boundary, i, file ? "; FileName=\"a;b.png\"" : "");
        const size_t length = file ? n_picture : strlen(parts[i]);
        memcpy(form + n, file ? (const void *)picture : parts[i], length);
        n += length;
        n += (size_t)sprintf(form + n, "\r\n");
    }
    return n + (size_t)sprintf(form + n, "--%s--\r\n", boundary);
}

static void test_forms(void **state) {
    (void)state;
    static const struct {
        const char *type, *boundary;
        const char *parts[4];
        int status;
        const char *answer; /* NULL: the digit */
    } cases[] = {
        {"multipart/form-data; boundary=xyz", "xyz", {"a text", "file"}, 200, NULL},
        {"multipart/form-data; boundary=xyz; charset=utf-8", "xyz", {"file"}, 200, NULL},
        {"multipart/form-data; charset=utf-8; Boundary=\"x y\"", "x y", {"file"}, 200, NULL},
        {"MULTIPART/FORM-DATA;BOUNDARY=xyz", "xyz", {"file", "after it"}, 200, NULL},
        {"multipart/form-data", "xyz", {"file"}, 400, "has no boundary"},
        {"multipart/form-data; boundary=", "xyz", {"file"}, 400, "has no boundary"},
        {"multipart/form-data; boundary=xyz", "abc", {"file"}, 400, "the form has no file"},
        {"multipart/form-data; boundary=xyz",
         "xyz",
         {"one", "two"},
         400,
         "no file among its fields"},
        {"multipart/form-data; boundary=xyz", "xyz", {"only"}, 400, "neither PNG nor JPEG"},
        {"multipart/form-data; boundary=xyz", "xyz", {NULL}, 400, "the form has no file"},
    };
    char answer[8192], digit[32], type[256], *form = malloc(2 * n_picture + 1024);
    snprintf(digit, sizeof digit, "{\"class\":%d}", true_class);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t n = make_form(form, cases[i].boundary, cases[i].parts);
        snprintf(type, sizeof type, "Content-Type: %s\r\n", cases[i].type);
        assert_int_equal(request("POST", "/digits", type, form, n, answer, sizeof answer),
                         cases[i].status);
        assert_contains(answer, cases[i].answer != NULL ? cases[i].answer : digit);
    }
    /* A part that is cut off anywhere. */
    const char *const parts[] = {"file", NULL};
    const size_t n = make_form(form, "xyz", parts);
    const size_t cuts[] = {3, 20, 60, 100, n / 2, n - 9};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        assert_int_equal(request("POST", "/digits",
                                 "Content-Type: multipart/form-data; boundary=xyz\r\n", form,
                                 cuts[i], answer, sizeof answer),
                         400);
    }
    free(form);
}

static void test_methods(void **state) {
    (void)state;
    static const struct {
        const char *method, *path, *methods;
    } cases[] = {{"POST", "/healthz", "GET, HEAD"},
                 {"DELETE", "/v1/models", "GET, HEAD"},
                 {"POST", "/", "GET, HEAD"},
                 {"PUT", "/v1/models/digits", "GET, HEAD"},
                 {"GET", "/digits", "POST"},
                 {"PUT", "/mnist", "POST"},
                 {"GET", "/v1/models/digits:predict", "POST"}};
    char answer[8192], expected[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            request(cases[i].method, cases[i].path, "", NULL, 0, answer, sizeof answer), 405);
        snprintf(expected, sizeof expected, "{\"error\":\"use %s here\"}", cases[i].methods);
        assert_contains(answer, expected);
    }
    assert_int_equal(request("DELETE", "/nowhere", "", NULL, 0, answer, sizeof answer), 404);
}

static void test_predict_numbers(void **state) {
    (void)state;
    static char body[64 * 1024], answer[8192];
    size_t n = (size_t)snprintf(body, sizeof body, "{\"instances\": [[");
    for (int i = 0; i < 784; i++) {
        n += (size_t)snprintf(body + n, sizeof body - n, i > 0 ? ",%d" : "%d", i % 256);
    }
    n += (size_t)snprintf(body + n, sizeof body - n, "]]}");
    assert_int_equal(post_json("/v1/models/digits:predict", body, answer, sizeof answer), 200);
    const char *list = strstr(answer, "{\"predictions\":[[");
    assert_non_null(list);
    double sum = 0;
    list += strlen("{\"predictions\":[[");
    for (int i = 0; i < 10; i++) {
        char *end;
        sum += strtod(list, &end);
        list = end + 1;
    }
    assert_true(fabs(sum - 1) < 1e-5);
    assert_int_equal(
        post_json("/v1/models/digits:predict", "{\"instances\":[]}", answer, sizeof answer), 200);
    assert_contains(answer, "{\"predictions\":[]}");
}

static void test_get_pages(void **state) {
    (void)state;
    static char answer[64 * 1024];
    assert_int_equal(request("GET", "/healthz", "", NULL, 0, answer, sizeof answer), 200);
    assert_contains(answer, "{\"status\":\"ok\"}");
    assert_int_equal(request("GET", "/", "", NULL, 0, answer, sizeof answer), 200);
    assert_contains(answer, "<canvas");
    assert_contains(answer, "Content-Security-Policy: default-src 'self'");
    assert_int_equal(request("GET", "/draw.js", "", NULL, 0, answer, sizeof answer), 200);
    assert_int_equal(request("HEAD", "/", "", NULL, 0, answer, sizeof answer), 200);
    assert_int_equal(request("GET", "/v1/models", "", NULL, 0, answer, sizeof answer), 200);
    assert_contains(answer, "\"picture_routes\":[\"/digits\",\"/mnist\"]");
    assert_int_equal(request("GET", "/v1/models/digits", "", NULL, 0, answer, sizeof answer), 200);
    assert_contains(answer, "AVAILABLE");
}

/* --- wrong requests -----------------------------------------------------------------------------
 */

static void test_wrong_requests(void **state) {
    (void)state;
    char answer[8192];
    assert_int_equal(request("GET", "/digit", "", NULL, 0, answer, sizeof answer), 404);
    assert_contains(answer, "{\"error\":\"there is no /digit; did you mean /digits?\"}");
    assert_int_equal(request("GET", "/../../etc/passwd", "", NULL, 0, answer, sizeof answer), 404);
    assert_int_equal(request("GET", "/digits", "", NULL, 0, answer, sizeof answer), 405);
    assert_int_equal(request("DELETE", "/digits", "", NULL, 0, answer, sizeof answer), 405);
    assert_int_equal(request("POST", "/digits", "", NULL, 0, answer, sizeof answer), 400);
    assert_contains(answer, "the body is empty");
    assert_int_equal(request("POST", "/digits", "", "hello", 5, answer, sizeof answer), 400);
    assert_contains(answer, "neither PNG nor JPEG");
    assert_int_equal(request("POST", "/digits", "", picture, n_picture / 2, answer, sizeof answer),
                     400);
    const char *type = "Content-Type: multipart/form-data; boundary=xyz\r\n";
    assert_int_equal(request("POST", "/digits", type, "--xyz--\r\n", 9, answer, sizeof answer),
                     400);
    assert_contains(answer, "the form has no file");
    static const struct {
        const char *body, *part;
        int status;
    } cases[] = {
        {"{\"instances\": [[1,2,3]]}", "instance 0 has 3 numbers; the model takes 784", 400},
        {"{\"instances\": 5}", "expected a list of instances", 400},
        {"{\"instances\": [", "the JSON ends too early", 400},
        {"{\"inputs\": []}", "the key \\\"inputs\\\" is not known", 400},
        {"{}", "the key \\\"instances\\\" is missing", 400},
        {"[]", "expected an object", 400},
        {"{\"instances\": [[NaN]]}", "malformed JSON at byte 16: expected a number", 400},
        {"{\"instances\": [{\"b64\": \"iVBORw0K\"}]}", "instance 0 is an object at byte 15", 400},
        {"{\"instances\": [\"iVBORw0K\"]}", "not given as base64", 400},
        {"{\"instances\": [[1e400]]}", "too large for float32", 400},
        {"{\"instances\": [[[[[[[[[[[[1]]]]]]]]]]]]}", "nested deeper", 413},
        {"{\"instances\": []} x", "nothing after the object", 400},
        {"{\"instances\": [], \"instances\": []}", "is there twice", 400},
        {"\xff\xfe", "malformed JSON at byte 0", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(
            post_json("/v1/models/digits:predict", cases[i].body, answer, sizeof answer),
            cases[i].status);
        assert_contains(answer, cases[i].part);
    }
    assert_int_equal(post_json("/v1/models/other:predict", "{}", answer, sizeof answer), 404);
}

static void test_large_body_is_refused(void **state) {
    (void)state;
    char answer[8192];
    size_t n = (size_t)17 << 20;
    char *body = malloc(n);
    memset(body, '1', n);
    int status = request("POST", "/digits", "", body, n, answer, sizeof answer);
    assert_true(status == 413 || status == 0);
    free(body);
    assert_int_equal(request("GET", "/healthz", "", NULL, 0, answer, sizeof answer), 200);
}

/* None of these may end the server or hang it. */
static void test_hostile_http(void **state) {
    (void)state;
    static const char *const requests[] = {
        "",
        "\r\n\r\n",
        "GET",
        "GET /\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /digits HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /digits HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /digits HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /digits HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /digits HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\nffffffffffffffff\r\nabc",
        "POST /digits HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : "
        "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /..%2f..%2f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /digits HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 3\r\n\r\nabc",
        "POST /digits HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data\r\nContent-Length: "
        "3\r\n\r\nabc",
        "POST /digits HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "
        "boundary=\r\nContent-Length: 3\r\n\r\nabc"};
    patience_s = 1; /* a server may wait for the rest of a body; we do not */
    char answer[8192];
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int status = exchange(requests[i], strlen(requests[i]), answer, sizeof answer);
        assert_true(status != 500);
    }
    char *many = malloc(200000); /* a header of 100 KB, and 5,000 headers */
    size_t n = (size_t)sprintf(many, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
    memset(many + n, 'a', 100000);
    memcpy(many + n + 100000, "\r\n\r\n", 4);
    exchange(many, n + 100004, answer, sizeof answer);
    n = (size_t)sprintf(many, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 5000; i++) {
        n += (size_t)sprintf(many + n, "X-Header-%d: a\r\n", i);
    }
    exchange(many, n, answer, sizeof answer);
    free(many);
    for (int i = 0; i < 50; i++) { /* connections that say nothing and go */
        close(connect_to_server());
    }
    patience_s = 10;
    assert_int_equal(request("GET", "/healthz", "", NULL, 0, answer, sizeof answer), 200);
}

static void test_bad_options(void **state) {
    (void)state;
    kata__server *other = NULL;
    kata__server_options options = {.port = kata__server_port(server)};
    assert_int_equal(kata__server_start(&other, model, "a", &options), KATA_IO);
    assert_non_null(strstr(kata_error_message(), "choose another with --port"));
    assert_int_equal(kata__server_start(&other, model, "a/b", &(kata__server_options){0}),
                     KATA_INVALID);
    assert_int_equal(kata__server_start(&other, model, "healthz", &(kata__server_options){0}),
                     KATA_INVALID);
    const char *const routes[] = {"mnist"};
    options = (kata__server_options){.routes = routes, .n_routes = 1};
    assert_int_equal(kata__server_start(&other, model, "a", &options), KATA_INVALID);
    options = (kata__server_options){.host = "256.1.1.1"};
    assert_int_equal(kata__server_start(&other, model, "a", &options), KATA_INVALID);
    assert_null(other);
}

static void test_instances_alone(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata__instances got;
    const char *text = " { \"signature_name\" : \"a\\\"b\", \"instances\" : [ [[1, -2.5],[0.25e1, "
                       "0]], [[5,6],[7,8]] ] } ";
    assert_int_equal(kata__instances_read(&got, context, text, strlen(text), 4), KATA_OK);
    assert_int_equal(got.n, 2);
    const float expected[] = {1, -2.5F, 2.5F, 0, 5, 6, 7, 8};
    assert_memory_equal(got.numbers, expected, sizeof expected);
    kata__free(context, got.numbers);
    text = "{\"instances\":[[[1,2],[3,4]],[[1],[2,3,4]]]}";
    assert_int_equal(kata__instances_read(&got, context, text, strlen(text), 4), KATA_SHAPE);
    assert_non_null(strstr(kata_error_message(), "ragged"));
    text = "{\"instances\":[1,2,3]}"; /* one number an instance needs no list */
    assert_int_equal(kata__instances_read(&got, context, text, strlen(text), 1), KATA_OK);
    assert_int_equal(got.n, 3);
    kata__free(context, got.numbers);
    const char *const bad[] = {
        "{\"instances\":[01]}",    "{\"instances\":[+1]}",   "{\"instances\":[.5]}",
        "{\"instances\":[5.]}",    "{\"instances\":[1e]}",   "{\"instances\":[0x1]}",
        "{\"instances\":[1,]}",    "{\"instances\":[,1]}",   "{\"instances\":[1}",
        "{\"instances\":[1]",      "{\"instances\" [1]}",    "{instances:[1]}",
        "{\"instances\":[\"1\"]}", "{\"instances\":[null]}", "{\"instances\":[inf]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (kata__instances_read(&got, context, bad[i], strlen(bad[i]), 1) != KATA_FORMAT) {
            fail_msg("%s was accepted", bad[i]);
        }
    }
    text = "{\"instances\":[[1,2,3]]}"; /* cut off at every byte */
    for (size_t n = 0; n < strlen(text); n++) {
        char *cut = strndup(text, n);
        assert_int_not_equal(kata__instances_read(&got, context, cut, n, 3), KATA_OK);
        free(cut);
    }
}

/* p = a + b (float32), q = the sizes of b (int64), which is a row a sample for two samples only. */
static void test_named(void **state) {
    (void)state;
    static char answer[8192];
    kata_graph *graph;
    kata_model *named;
    kata__server *digits = server;
    kata_context *context = kata_context_default();
    const kata_shape shape = KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 2);
    assert_int_equal(kata_graph_new(&graph, context, "named"), KATA_OK);
    kata_value a = kata_graph_input(graph, "a", KATA_F32, &shape);
    kata_value b = kata_graph_input(graph, "b", KATA_F32, &shape);
    kata_graph_output(graph, "p", KATA_NODE(graph, "Add", KATA_INPUTS(a, b)));
    kata_graph_output(graph, "q", KATA_NODE(graph, "Shape", KATA_INPUTS(b)));
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    assert_int_equal(kata_model_from_graph(&named, graph), KATA_OK);
    assert_int_equal(kata__server_start(&server, named, "named", &(kata__server_options){0}),
                     KATA_OK);
    const char *const path = "/v1/models/named:predict";
    /* the shape of two rows has two elements: q is [2] */
    const char *const want = "{\"predictions\":[{\"p\":[4,null],\"q\":2},{\"p\":[7,8.5],\"q\":2}]}";
    assert_int_equal(post_json(path,
                               "{\"instances\":[{\"b\":[3,3e38],\"a\":[1,3e38]},"
                               "{\"a\":[2,3],\"b\":[5,5.5]}]}",
                               answer, sizeof answer),
                     200);
    assert_contains(answer, want);
    assert_int_equal(post_json(path,
                               "{\"inputs\":{\"a\":[[1,3e38],[2,3]],\"b\":[[3,3e38],[5,5.5]]}}",
                               answer, sizeof answer),
                     200);
    assert_contains(answer, want);
    static const char *const bad[][2] = {
        {"{\"instances\":[{\"a\":[1,2]}]}", "instance 0 lacks the input b"},
        {"{\"instances\":[{\"a\":[1,2],\"c\":[1,2]}]}", "the model has no input c"},
        {"{\"instances\":[{\"a\":[1,2],\"a\":[1,2]}]}", "input a is given twice"},
        {"{\"instances\":[[1,2]]}", "instance 0 is not an object"},
        {"{\"instances\":[{\"a\":[1,2],\"b\":[1,2,3]}]}", "input b has the shape"},
        {"{\"instances\":[{\"a\":[1,[2]],\"b\":[1,2]}]}", "input a are ragged"},
        {"{\"instances\":[{\"a\":[1,\"2\"],\"b\":[1,2]}]}", "input a takes elements of float32"},
        {"{\"inputs\":{\"a\":[[1,2]]}}", "the input b is missing"},
        {"{\"inputs\":{\"a\":[[1,2]],\"b\":[[1,2],[3,4]]}}", "input b has 2 samples beside 1"},
        {"{\"instances\":[{\"a\":[1,2],\"b\":[1,2]}]}", "not a row for each"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(post_json(path, bad[i][0], answer, sizeof answer), 400);
        assert_contains(answer, bad[i][1]);
    }
    kata__server_stop(server);
    server = digits;
    kata_model_free(named);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picture_as_form_and_as_body),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_predict_numbers),
        cmocka_unit_test(test_get_pages),
        cmocka_unit_test(test_wrong_requests),
        cmocka_unit_test(test_large_body_is_refused),
        cmocka_unit_test(test_hostile_http),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_instances_alone),
        cmocka_unit_test(test_named),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
