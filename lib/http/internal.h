/* What the files of the HTTP side share. docs/http.md tells how they work together. */
#ifndef ORCD_HTTP_INTERNAL_H
#define ORCD_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "engine/job.h"
#include "chat/chat.h"
#include "http/conn.h"
#include "http/error.h"
#include "http/refuse.h"
#include "http/routes.h"
#include "http/server.h"
#include "http/service.h"
#include "http/wake.h"
#include "json/out.h"
#include "json/scan.h"

#define HTTP_MAX_LOOPS 64
#define HTTP_INLINE_BODY_BYTES (16u * 1024)    /* larger ones are parsed by the intake threads */
#define HTTP_DRAIN_BYTES (64u * 1024)          /* of a refused body, so that the connection lives on */
#define HTTP_BODIES_BYTES (256u * 1024 * 1024) /* of all requests that arrive at once */
#define HTTP_HEAD_BYTES (16u * 1024)
#define HTTP_URI_BYTES 2048
#define HTTP_MAX_HEADERS 100
#define HTTP_KEY_BYTES 513 /* an API key, zero-padded */

#define HTTP_MAX_CHOICES 16 /* jobs of one request */

struct dialect;

enum exchange_state {
    X_HEAD,      /* the library parses the head */
    X_BODY,      /* the body arrives, or is drained */
    X_COMPLETE,  /* all of it is here; the library was told to wait */
    X_WORKING,   /* an intake thread parses it; suspended */
    X_PARSED,    /* parsed */
    X_WAITING,   /* its job waits for a slot or, not streaming, for its end; suspended */
    X_ANSWERED,  /* a response is queued */
    X_STREAMING, /* an event stream is queued */
};

/* A body to answer with. */
struct answer {
    unsigned status; /* 0: none yet */
    char *body;      /* malloc'ed */
    size_t n;
    const char *type;
};

/* How far the text of a choice was written. What formats an entry moves a copy on, which
 * counts once the entry is on its way. */
struct cursor {
    uint64_t n_chars;        /* characters that the tokens before stand for */
    struct chat_split split; /* of chats: what is thought and what is said */
    uint32_t n_reasoning;    /* tokens of the former */
};

/* One job of an exchange: a request may ask for several answers at once. Loop thread
 * only, or who has the exchange. */
struct choice {
    struct exchange *x;
    uint32_t index;
    struct request request; /* moved into the job */
    struct job *job;        /* NULL: there is none yet, or the engine refused it */
    bool logged;
    char *echo; /* the prompt's text, with which its own begins; malloc'ed; NULL: none */
    size_t n_echo;
    /* stream */
    bool started_sent, held_sent, end_sent;
    atomic_uint formatted; /* entries; written by who has the exchange */
    uint32_t handed;       /* entries handed to the kernel */
    struct cursor cursor;
};

/*
 * One request and its answer. Loop thread only, but for what is said. Referenced by its
 * connection and by its jobs; who has it while it waits: wake.h.
 */
struct exchange {
    atomic_int refs;
    atomic_int parked;     /* enum parked */
    struct exchange *next; /* in wake->head, runnable or the intake queue */
    struct wake *wake;
    struct http_server *server;
    void *daemon;      /* service.arg */
    struct conn *conn; /* NULL once the connection has dropped it */
    struct MHD_Connection *mhd;
    enum exchange_state state;

    /* head */
    const struct route *route;
    char *uri; /* raw, malloc'ed, NUL-terminated */
    size_t n_uri;
    const char *parameter;
    char correlation_id[JOB_CORRELATION_MAX + 1];
    uint64_t arrived_ns, deadline_ns;            /* monotonic; 0: none */
    uint32_t owner;                              /* the key's number, from 1; 0: none are configured */
    bool deadline_clamped, late, close, counted; /* late: the deadline left too little at arrival */
    bool chunked;                                /* HTTP/1.1: so the library sends a stream */
    char allow[48];

    /* body */
    struct json_scan scan;
    bool scanning;
    char *body;
    size_t n_body, body_cap, n_discarded;

    /* outcome */
    struct http_error error;
    struct answer answer;
    char job_id[JOB_ID_MAX + 1]; /* to be cancelled; of OpenAI's requests the id of the answer */

    /* jobs */
    const struct dialect *dialect;
    struct choice *choices;     /* calloc'ed when the body is parsed */
    uint32_t n_choices, n_each; /* the latter of them are answers to the same prompt */
    bool stream;
    bool submitted;    /* the engine has taken them all */
    bool with_usage;   /* OpenAI's stream_options.include_usage */
    int64_t created_s; /* Unix time that the answer tells */
    char *head;        /* what all its chunks begin with, malloc'ed; NULL: not needed */
    size_t n_head;

    /* disconnect */
    bool gone;         /* nobody reads any more */
    bool probe;        /* send a comment and let the kernel say */
    uint64_t rdhup_ns; /* when the event was read, or a stall was due; 0: none */

    /* stream */
    bool closed; /* its last event is on its way */
    bool ping_due, metrics_due;
    char *rest; /* of an event that did not fit, malloc'ed */
    size_t n_rest, rest_at;
    bool chunk_out; /* bytes were given to the library and it has not come back yet */
    atomic_uint_fast64_t sent_ns;
    uint64_t metrics_ns;
    /* of a chunk that the engine thread sent and the kernel did not take whole, malloc'ed */
    char *left;
    size_t n_left, left_at;
    bool left_waits; /* for the socket to take more */
    bool broken;     /* the client cannot get a whole stream any more */
};

struct loop {
    struct http_server *server;
    struct wake *wake;
    unsigned index;
    struct MHD_Daemon *mhd;
    int epoll_fd, listen_fd, mhd_fd;
    bool accept_paused, half_closed_seen;
    pthread_t thread;
    bool has_thread;
    struct conn *conns;
    struct exchange *runnable, **runnable_tail;
    uint64_t next_timer_ns; /* lower bound of what loop_timers has to look at */
    bool draining;          /* never suspend any more */
    uint64_t stop_by_ns;
    uint64_t mhd_ran_ns;
};

struct http_server {
    struct http_params params; /* pointers in it are ours or not used after start */
    char **keys;               /* each HTTP_KEY_BYTES, zero-padded */
    size_t n_keys;
    bool check_host, strict_head;
    char own_host[64]; /* literal address that it listens on, "" if none */
    const struct http_service *service;
    atomic_bool draining, stopping;
    atomic_uint n_connections;
    atomic_size_t body_bytes; /* held by bodies that arrive or wait to be parsed */
    char url[300];
    char unix_path[108]; /* to unlink; "" */
    struct loop loops[HTTP_MAX_LOOPS];
    unsigned n_loops;
    struct hub *hub;
    int reserve_fd; /* closed to accept and refuse when descriptors run out */
    pthread_mutex_t reserve_lock;
    struct intake *intake;
};

/* Something of the loop's is due at ns. */
static inline void loop_timer_at(struct loop *l, uint64_t ns)
{
    if (ns < l->next_timer_ns)
        l->next_timer_ns = ns;
}

/* The first bytes of a request are there, or its connection is. */
static inline void conn_reading(struct conn *c, uint64_t now)
{
    c->read_deadline_ns = now + c->loop->server->params.request_read_ms * NS_PER_MS;
    loop_timer_at(c->loop, c->read_deadline_ns);
}

/* listen.c */
struct listen_address {
    struct sockaddr_storage addr;
    socklen_t n;
    char host[256];
    char unix_path[108];
    bool loopback;
};
int listen_parse(struct listen_address *a, const char *text, struct orcd_error *err);
/* fds[n]: one listener per loop (unix sockets: the same one). */
int listen_open(
    struct listen_address *a, unsigned n, uint32_t user_timeout_ms, int *fds, struct orcd_error *err);
void listen_url(const struct listen_address *a, char *url, size_t size);

/* loop.c */
int loop_start(struct loop *l, struct orcd_error *err);

/* exchange.c */
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *n_data, void **con_cls);
void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *mhd);
void exchange_completed(
    void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode code);
void exchange_unref(struct exchange *x);
void exchange_client_gone(struct exchange *x);
bool exchange_has_outcome(const struct exchange *x);
/* Takes body over. */
void exchange_answer(struct exchange *x, unsigned status, const char *type, char *body, size_t n);
/* application/json; takes what o has. */
void exchange_answer_json(struct exchange *x, unsigned status, struct json_out *o);
/* The parameter of its path with escapes undone and NUL-terminated; false: more than fits. */
bool exchange_parameter(const struct exchange *x, char *out, size_t size, size_t *n);
/* False: x->error says that the daemon is shutting down. */
bool exchange_takes_work(struct exchange *x);

/* gate.c: refuses by setting x->error; x->close for what may not go on. */
void gate_head(struct exchange *x, const char *url, const char *method, const char *version);
/* Which of the keys this is, from 1; 0: none of them. */
uint32_t gate_key_owner(const struct http_server *s, const char *presented, size_t n);

/* stream.c */
ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max);
bool stream_has_news(const struct exchange *x);
/* Who has the exchange: all that was formatted is in the kernel. */
void stream_handed(struct exchange *x, uint64_t now);

/* direct.c */
/* Engine thread: sends what was published if the exchange is parked. False: the caller
 * puts it into a list. */
bool direct_send(struct exchange *x);
/* Loop thread, of an exchange in its list: sends what was published. False: there is
 * something left, or something else for the library to do. */
bool direct_loop_send(struct exchange *x);
/* Loop thread: sends what is left. False: it waits for the client. */
bool direct_finish(struct exchange *x);

/* choice.c */
/* n of them, without jobs. False: error is set. */
bool choices_new(struct exchange *x, uint32_t n);
void choices_free(struct exchange *x);
/* Makes a job of each choice and gives them to the engine; all or none: x->error. */
void choices_submit(struct exchange *x);
/* Ends those that have not ended. */
void choices_abort(struct exchange *x, enum abort_reason reason, uint64_t noticed_ns);
/* The first that ended with an error, or NULL. */
const struct choice *choices_failed(const struct exchange *x);
bool choices_ended(const struct exchange *x); /* all of them */
/* Drops the exchange's references to its jobs. whole: the answer went out in one piece. */
void choices_drop(struct exchange *x, bool whole);
const char *choice_phase(const struct job_end *end);

/* intake.c */
int intake_start(struct intake **out, unsigned n_threads, struct orcd_error *err);
/* False: it was stopped. x must be suspended before. */
bool intake_push(struct intake *in, struct exchange *x);
void intake_stop(struct intake *in); /* finishes what it has */
void intake_free(struct intake *in); /* takes NULL */

#endif
