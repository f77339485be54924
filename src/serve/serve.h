/* The HTTP server of picture and vector models: POST /NAME with a picture, POST
 * /v1/models/NAME:predict with numbers, a page to draw on. Loopback unless told otherwise. */
#ifndef KATA_SERVE_SERVE_H
#define KATA_SERVE_SERVE_H

#include <kata/train.h>

typedef struct kata__server kata__server;

typedef struct kata__server_options {
    const char *host;          /* address to listen on; NULL: 127.0.0.1 */
    int port;                  /* 0: any free one */
    const char *const *routes; /* further paths of the picture route: "/mnist" */
    int n_routes;
    bool log; /* a line for each request on the context's log */
} kata__server_options;

/* Serves `model` under `name` (1 to 64 of A-Z a-z 0-9 . _ -). The model must outlive the server and
 * must not be used by others meanwhile. Requests run in threads of the server's own. */
kata_status kata__server_start(kata__server **out, kata_model *model, const char *name,
                               const kata__server_options *options);
/* Finishes the requests under way. */
void kata__server_stop(kata__server *server);
int kata__server_port(const kata__server *server);

/* KATA_INVALID with a sentence if a name or a route cannot be served. */
kata_status kata__serve_check_name(const char *name);
kata_status kata__serve_check_route(const char *route);

#endif
