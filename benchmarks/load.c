/* A closed-loop load generator: every connection sends a message, waits for the whole reply, checks it, and sends the next.
 *
 *     load echo|lines|prefixed|accept|hold --address 127.0.0.1:PORT|unix:/path [--size N] [--burst N] [--connections N]
 *                                 [--warmup SECONDS] [--seconds SECONDS] [--patience SECONDS] [--server PID]
 *
 * echo    one message of `size` bytes at a time on each connection
 * lines   one message is a burst of `burst` lines of `size` bytes each, sent at once; lines are counted, not bursts
 * prefixed  frames of 4 bytes of length and `size` bytes, `burst` of them always in flight: for each that comes back, one
 *           more is sent; frames are counted
 * accept  each message on a connection of its own: connect, send, read the reply, close; `connections` of them in flight
 * hold    exchange one message on each of `connections`, say so, and keep them open and idle until stdin ends
 *
 * Compiled with -DTLS it speaks TLS 1.3 in the modes echo, accept and hold, and believes any certificate: accept mode then
 * counts full handshakes.
 *
 * Prints one line of JSON. Leaves with status 2 and a line on stderr if a reply has wrong, missing or surplus bytes.
 *
 * The messages are windows into one pattern of pseudo-random bytes, a different window each time: nothing is copied to
 * make them, and a reply that belongs to an earlier message does not pass for this one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
#endif

enum {
    WINDOWS = 1021,
    PREFIX = 4, /* bytes of a frame's length, big-endian */
    STEP = 61, /* bytes from one window to the next: few, so that the pattern stays in the cache */
    EVENTS = 256,
    OPENING = 100, /* connections that wait for their first reply at a time, to stay within any server's backlog */
};

enum mode { ECHO, LINES, PREFIXED, ACCEPT, HOLD, MODES };
static const char *const mode_names[] = {"echo", "lines", "prefixed", "accept", "hold"};

struct connection {
    int fd;
    bool writing;  /* EPOLLOUT is asked for */
    bool answered; /* has had a reply, so the server has accepted it */
#ifdef TLS
    SSL *tls;
    bool shaking; /* the handshake waits for the server: there is no use in being told that we may write */
#endif
    const char *message;
    size_t sent, received;
    size_t target; /* prefixed: how much may be sent so far */
};

static struct {
    enum mode mode;
    union {
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_un local;
    } address;
    socklen_t address_length;
    size_t line, message, step; /* bytes; step: from one window to the next, whole lines in lines mode */
    long burst, connections;
    double warmup, seconds, patience; /* patience: for replies that do not come */
    pid_t server;
} options = {.line = 1000, .burst = 16, .connections = 10, .warmup = 0.5, .seconds = 2.0, .patience = 10.0};

static struct {
    double at, server_cpu, client_cpu;
    uint64_t messages;
} started, ended;

static char *pattern, *reply;
static size_t window; /* the next message's place in the pattern */
static struct connection *connections;
static long opened, answered;
static uint64_t messages, connects;
static int poller;
static bool measuring, finishing;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void check(bool fine, const char *what) {
    if (!fine)
        fail("%s: %s", what, strerror(errno));
}

/* ---- clocks ---- */

static double seconds_of(clockid_t clock) {
    struct timespec time;
    check(clock_gettime(clock, &time) == 0, "clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The CPU time of another process, to the nanosecond, without its help; -1 if none was named. */
static double server_cpu(void) {
    clockid_t clock;
    if (options.server == 0)
        return -1;
    check(clock_getcpuclockid(options.server, &clock) == 0, "the server's CPU clock");
    return seconds_of(clock);
}

/* ---- bytes ---- */

#ifdef TLS
static SSL_CTX *tls;

/* The count of an OpenSSL call as send and recv would return it. */
static ssize_t result_of(struct connection *connection, int n) {
    if (n > 0)
        return n;
    int error = SSL_get_error(connection->tls, n);
    connection->shaking = error == SSL_ERROR_WANT_READ;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail("TLS: error %d", error);
    errno = EAGAIN;
    return -1;
}

static ssize_t put(struct connection *connection, const char *data, size_t size) {
    return result_of(connection, SSL_write(connection->tls, data, (int)size));
}

static ssize_t take(struct connection *connection, char *data, size_t size) {
    return result_of(connection, SSL_read(connection->tls, data, (int)size));
}

static bool must_wait(struct connection *connection) {
    return connection->shaking;
}

static void begin_tls(struct connection *connection) {
    connection->tls = SSL_new(tls);
    if (!connection->tls || !SSL_set_fd(connection->tls, connection->fd))
        fail("TLS: out of memory");
    SSL_set_connect_state(connection->tls);
    connection->shaking = false;
}

static void end_tls(struct connection *connection) {
    SSL_shutdown(connection->tls);
    SSL_free(connection->tls);
}

static void prepare_tls(void) {
    if (options.mode != ECHO && options.mode != ACCEPT && options.mode != HOLD)
        fail("%s: expected echo, accept or hold with TLS", mode_names[options.mode]);
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || !SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION))
        fail("TLS: no TLS 1.3");
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}
#else
static ssize_t put(struct connection *connection, const char *data, size_t size) {
    return send(connection->fd, data, size, MSG_NOSIGNAL);
}

static ssize_t take(struct connection *connection, char *data, size_t size) {
    return recv(connection->fd, data, size, 0);
}

static bool must_wait(struct connection *connection) {
    (void)connection;
    return false;
}

static void begin_tls(struct connection *connection) {
    (void)connection;
}

static void end_tls(struct connection *connection) {
    (void)connection;
}

static void prepare_tls(void) {
}
#endif

/* ---- messages ---- */

static void make_pattern(void) {
    size_t length = options.message + WINDOWS * options.step;
    uint64_t state = 88172645463325252u; /* xorshift64; any constant but 0 */
    pattern = malloc(length);
    reply = malloc(options.message + 1);
    check(pattern && reply, "malloc");
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        pattern[i] = (char)('0' + (state >> 32) % 75); /* printable, no newline */
        if (options.mode == LINES && (i + 1) % options.line == 0)
            pattern[i] = '\n';
        if (options.mode == PREFIXED && i % options.line < PREFIX)
            pattern[i] = (char)((options.line - PREFIX) >> 8 * (PREFIX - 1 - i % options.line));
    }
    if (options.mode == PREFIXED)
        memcpy(pattern + WINDOWS * options.line, pattern, options.message);
}

static void next_message(struct connection *connection) {
    window = (window + 1) % WINDOWS;
    connection->message = pattern + window * options.step;
    connection->sent = connection->received = 0;
}

static void watch(struct connection *connection, int operation, bool writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = connection};
    check(epoll_ctl(poller, operation, connection->fd, &event) == 0, "epoll_ctl");
    connection->writing = writing;
}

static void write_message(struct connection *connection) {
    while (connection->sent < options.message) {
        ssize_t n = put(connection, connection->message + connection->sent, options.message - connection->sent);
        if (n < 0 && errno == EAGAIN)
            break;
        check(n >= 0, "send");
        connection->sent += (size_t)n;
    }
    bool writing = connection->sent < options.message && !must_wait(connection);
    if (writing != connection->writing)
        watch(connection, EPOLL_CTL_MOD, writing);
}

static void send_next(struct connection *connection) {
    next_message(connection);
    write_message(connection);
}

/* Reads what has come and compares it; true when the reply is complete. */
static bool read_reply(struct connection *connection) {
    size_t expected = options.message - connection->received;
    ssize_t n = take(connection, reply, expected + 1); /* room for a surplus byte, to see it */
    if (n < 0 && errno == EAGAIN)
        return false;
    check(n >= 0, "recv");
    if (n == 0)
        fail("the server closed after %zu of %zu bytes", connection->received, options.message);
    if ((size_t)n > expected)
        fail("the reply is longer than the message of %zu bytes", options.message);
    if (memcmp(reply, connection->message + connection->received, (size_t)n) != 0)
        fail("wrong bytes in the reply after byte %zu of %zu", connection->received, options.message);
    connection->received += (size_t)n;
    return connection->received == options.message;
}

/* The frames of a connection are the pattern over and over, which has WINDOWS of them and the beginning once more. */
static const char *frames_from(size_t place) {
    return pattern + place % (WINDOWS * options.line);
}

static void write_frames(struct connection *connection) {
    while (connection->sent < connection->target) {
        ssize_t n = send(connection->fd, frames_from(connection->sent), connection->target - connection->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        check(n >= 0, "send");
        connection->sent += (size_t)n;
    }
    bool writing = connection->sent < connection->target;
    if (writing != connection->writing)
        watch(connection, EPOLL_CTL_MOD, writing);
}

static void open_connection(struct connection *connection);

/* The first reply on a connection makes room for one more. */
static void note_answer(struct connection *connection) {
    if (connection->answered)
        return;
    connection->answered = true;
    answered++;
    if (opened < options.connections)
        open_connection(&connections[opened++]);
}

/* One event in prefixed mode; true when all that was sent has come back and there is to be no more. */
static bool exchange_frames(struct connection *connection, uint32_t events) {
    size_t expected = connection->sent - connection->received;
    bool readable = events & ~(uint32_t)EPOLLOUT;
    ssize_t n = readable ? recv(connection->fd, reply, expected + 1, 0) : 0; /* room for a surplus byte, to see it */
    check(n >= 0 || errno == EAGAIN, "recv");
    if (n == 0 && readable)
        fail("the server closed after %zu bytes", connection->received);
    if (n > 0) {
        note_answer(connection);
        size_t before = connection->received / options.line;
        if ((size_t)n > expected)
            fail("the replies are longer than the messages");
        if (memcmp(reply, frames_from(connection->received), (size_t)n) != 0)
            fail("wrong bytes in the reply after byte %zu", connection->received);
        connection->received += (size_t)n;
        messages += connection->received / options.line - before;
    }
    if (!finishing)
        connection->target = connection->received / options.line * options.line + options.message;
    write_frames(connection);
    return finishing && connection->received == connection->target;
}

/* ---- connections ---- */

/* A loopback address has 28 000 ports, each out of use for a second or more after its connection: spread the clients of
 * accept mode over many source addresses, or the generator runs dry. */
static void bind_source(int fd) {
    int on = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(connects++ % 250));
    check(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0, "IP_BIND_ADDRESS_NO_PORT");
    check(bind(fd, (struct sockaddr *)&source, sizeof source) == 0, "bind");
}

static void open_connection(struct connection *connection) {
    int on = 1, family = options.address.any.sa_family;
    connection->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(connection->fd >= 0, "socket");
    if (family == AF_INET && options.mode == ACCEPT)
        bind_source(connection->fd); /* and no TCP_NODELAY: one message never waits for another */
    else if (family == AF_INET)
        check(setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    int connected = connect(connection->fd, &options.address.any, options.address_length);
    check(connected == 0 || errno == EINPROGRESS, "connect"); /* the first send waits for it, and has its error */
    watch(connection, EPOLL_CTL_ADD, false);
    begin_tls(connection);
    next_message(connection);
    connection->target = options.message;
    if (options.mode == PREFIXED)
        write_frames(connection);
    else
        write_message(connection);
}

static void close_connection(struct connection *connection) {
    end_tls(connection);
    close(connection->fd);
    connection->fd = -1;
}

/* ---- the run ---- */

static void advance(void) {
    double now = seconds_of(CLOCK_MONOTONIC), cpu;
    static double warm;
    if (answered < options.connections)
        return;
    if (warm == 0)
        warm = now + options.warmup;
    if (!measuring && now >= warm) {
        measuring = true;
        cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        started.at = now, started.server_cpu = server_cpu(), started.client_cpu = cpu, started.messages = messages;
    } else if (measuring && !finishing && now >= started.at + options.seconds) {
        finishing = true;
        cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        ended.at = now, ended.server_cpu = server_cpu(), ended.client_cpu = cpu, ended.messages = messages;
    }
}

/* One event of one connection; true when there is nothing more to wait for in its place. */
static bool serve(struct connection *connection, uint32_t events) {
    if (options.mode == PREFIXED)
        return exchange_frames(connection, events);
    if (events & EPOLLOUT || connection->sent < options.message)
        write_message(connection);
    if (!(events & ~(uint32_t)EPOLLOUT) || !read_reply(connection))
        return false;
    messages += (uint64_t)options.burst;
    bool first = !connection->answered;
    note_answer(connection);
    if (options.mode == HOLD)
        return true;
    if (options.mode != ACCEPT && answered < options.connections)
        return false; /* the others would wait long for their turn if this one went on */
    if (options.mode == ACCEPT)
        close_connection(connection);
    else if (first)
        for (long i = 0; i < options.connections; i++)
            if (&connections[i] != connection)
                send_next(&connections[i]);
    if (finishing)
        return true;
    if (options.mode == ACCEPT)
        open_connection(connection);
    else
        send_next(connection);
    return false;
}

/* Runs until every connection has had the reply to its last message. */
static void run(void) {
    struct epoll_event events[EVENTS];
    long waiting = options.connections;
    while (opened < waiting && opened < OPENING)
        open_connection(&connections[opened++]);
    while (waiting > 0) {
        int count = epoll_wait(poller, events, EVENTS, (int)(options.patience < 1e6 ? options.patience * 1e3 : -1));
        check(count >= 0 || errno == EINTR, "epoll_wait");
        if (count == 0)
            fail("%ld connections had no reply for %g s", waiting, options.patience);
        if (options.mode != HOLD)
            advance();
        for (int i = 0; i < count; i++)
            waiting -= serve(events[i].data.ptr, events[i].events);
    }
}

static void hold(void) {
    char byte;
    printf("{\"held\": %ld}\n", options.connections);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

static void report(void) {
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f", (unsigned long long)(ended.messages - started.messages),
           ended.at - started.at, ended.client_cpu - started.client_cpu);
    if (options.server)
        printf(", \"server_cpu\": %.6f", ended.server_cpu - started.server_cpu);
    puts("}");
}

/* ---- options ---- */

static void parse_address(const char *text) {
    char host[64];
    unsigned port;
    if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof options.address.local.sun_path) {
        options.address.local.sun_family = AF_UNIX;
        strcpy(options.address.local.sun_path, text + 5);
        options.address_length = sizeof options.address.local;
    } else if (sscanf(text, "%63[^:]:%u", host, &port) == 2 && port < 65536 &&
               inet_pton(AF_INET, host, &options.address.inet.sin_addr) == 1) {
        options.address.inet.sin_family = AF_INET;
        options.address.inet.sin_port = htons((uint16_t)port);
        options.address_length = sizeof options.address.inet;
    } else {
        fail("--address %s: expected 127.0.0.1:PORT or unix:/path", text);
    }
}

static double number(const char *name, const char *text, double least) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= least) || value > 1e7)
        fail("--%s %s: expected a number from %g to 10000000", name, text, least);
    return value;
}

static void parse_options(int argc, char **argv) {
    static const struct option names[] = {
        {"address", 1, 0, 'a'}, {"size", 1, 0, 'n'}, {"burst", 1, 0, 'b'}, {"connections", 1, 0, 'c'},
        {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 's'}, {"patience", 1, 0, 't'}, {"server", 1, 0, 'p'}, {0, 0, 0, 0}};
    int option, mode = 0;
    while (mode < MODES && (argc < 2 || strcmp(argv[1], mode_names[mode]) != 0))
        mode++;
    if (mode == MODES)
        fail("the first argument is one of echo, lines, prefixed, accept, hold");
    options.mode = (enum mode)mode;
    for (optind = 2; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'a': parse_address(optarg); break;
        case 'n': options.line = (size_t)number("size", optarg, 1); break;
        case 'b': options.burst = (long)number("burst", optarg, 1); break;
        case 'c': options.connections = (long)number("connections", optarg, 1); break;
        case 'w': options.warmup = number("warmup", optarg, 0); break;
        case 's': options.seconds = number("seconds", optarg, 0); break;
        case 't': options.patience = number("patience", optarg, 0); break;
        case 'p': options.server = (pid_t)number("server", optarg, 1); break;
        default: exit(2);
        }
    }
    if (options.address_length == 0)
        fail("--address is missing");
    if (options.mode != LINES && options.mode != PREFIXED)
        options.burst = 1;
    if (options.mode == PREFIXED)
        options.line += PREFIX;
    options.message = options.line * (size_t)options.burst;
    options.step = options.mode == LINES || options.mode == PREFIXED ? options.line : STEP;
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    make_pattern();
    prepare_tls();
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connections, sizeof *connections);
    check(poller >= 0 && connections, "setting up");
    run();
    if (options.mode == HOLD)
        hold();
    else
        report();
    for (long i = 0; i < opened; i++)
        if (connections[i].fd >= 0)
            close_connection(&connections[i]);
    return 0;
}
