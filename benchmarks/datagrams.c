/* A load generator for UDP.
 *
 *     datagrams udp_echo|udp_receive|udp_send --address 127.0.0.1:PORT [--size N] [--burst N] [--connections N]
 *                                 [--warmup SECONDS] [--seconds SECONDS] [--patience SECONDS] [--server PID]
 *
 * udp_echo     each of `connections` sockets keeps `burst` datagrams of `size` bytes in flight, and checks each reply
 * udp_receive  sends datagrams of `size` bytes as fast as it can, in runs that the kernel cuts (UDP_SEGMENT). Then it asks
 *              the server, by an empty datagram, how many it was handed, and the answer, a decimal number, is what counts
 * udp_send     asks the server, by a datagram of one byte, to send to it without end, and counts what arrives and what
 *              its own socket had no room for
 *
 * Prints one line of JSON. Leaves with status 2 and a line on stderr if a datagram has wrong bytes, or does not come.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum { ECHO, RECEIVE, SEND, MODES, RUN = 64, RUN_BYTES = 65507, LARGEST = 65535 };
static const char *const mode_names[] = {"udp_echo", "udp_receive", "udp_send"};

static struct {
    int mode;
    struct sockaddr_in address;
    size_t size;
    long burst, connections;
    double warmup, seconds, patience;
    pid_t server;
} options = {.size = 200, .burst = 4, .connections = 20, .warmup = 0.5, .seconds = 2.0, .patience = 10.0};

struct moment {
    double at, server_cpu, client_cpu;
    uint64_t datagrams;
};

static char *data, reply[LARGEST + 1];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("datagrams: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void check(bool fine, const char *what) {
    if (!fine)
        fail("%s: %s", what, strerror(errno));
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    check(clock_gettime(clock, &time) == 0, "clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct moment now(uint64_t datagrams) {
    clockid_t clock;
    struct moment moment = {.datagrams = datagrams, .client_cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID)};
    if (options.server) {
        check(clock_getcpuclockid(options.server, &clock) == 0, "the server's CPU clock");
        moment.server_cpu = seconds_of(clock);
    }
    moment.at = seconds_of(CLOCK_MONOTONIC);
    return moment;
}

static void report(struct moment from, struct moment to) {
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f", (unsigned long long)(to.datagrams - from.datagrams),
           to.at - from.at, to.client_cpu - from.client_cpu);
    if (options.server)
        printf(", \"server_cpu\": %.6f", to.server_cpu - from.server_cpu);
    puts("}");
}

static int open_socket(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), buffer = 1 << 21;
    check(fd >= 0, "socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer); /* as far as the system allows */
    check(connect(fd, (struct sockaddr *)&options.address, sizeof options.address) == 0, "connect");
    return fd;
}

/* ---- udp_echo ---- */

struct peer {
    uint64_t sent, answered; /* the number of a datagram is at its front; replies may not come out of order on one machine */
};

static void send_next(int fd, struct peer *peer) {
    uint64_t number = peer->sent++;
    memcpy(data, &number, sizeof number < options.size ? sizeof number : options.size);
    check(send(fd, data, options.size, 0) == (ssize_t)options.size, "send");
}

static void check_reply(struct peer *peer, ssize_t length) {
    uint64_t number = peer->answered++;
    memcpy(data, &number, sizeof number < options.size ? sizeof number : options.size);
    if (length != (ssize_t)options.size || memcmp(reply, data, options.size) != 0)
        fail("a reply of %zd bytes is not datagram %llu of %zu bytes", length, (unsigned long long)number, options.size);
}

static void echo(void) {
    struct pollfd *polled = calloc((size_t)options.connections, sizeof *polled);
    struct peer *peers = calloc((size_t)options.connections, sizeof *peers);
    struct moment start = {0}, end = {0};
    uint64_t answered = 0, open = 0;
    double warm = seconds_of(CLOCK_MONOTONIC) + options.warmup;
    check(polled && peers, "calloc");
    for (long i = 0; i < options.connections; i++) {
        polled[i] = (struct pollfd){.fd = open_socket(), .events = POLLIN};
        for (long j = 0; j < options.burst; j++, open++)
            send_next(polled[i].fd, &peers[i]);
    }
    while (open > 0) {
        int ready = poll(polled, (nfds_t)options.connections, (int)(options.patience * 1e3));
        check(ready >= 0, "poll");
        if (ready == 0)
            fail("%llu datagrams had no reply for %g s", (unsigned long long)open, options.patience);
        double time = seconds_of(CLOCK_MONOTONIC);
        if (start.at == 0 && time >= warm)
            start = now(answered);
        else if (start.at != 0 && end.at == 0 && time >= start.at + options.seconds)
            end = now(answered);
        for (long i = 0; i < options.connections; i++) {
            ssize_t length;
            while (polled[i].revents && (length = recv(polled[i].fd, reply, sizeof reply, 0)) >= 0) {
                check_reply(&peers[i], length);
                answered++;
                if (end.at == 0)
                    send_next(polled[i].fd, &peers[i]);
                else
                    open--;
            }
            if (polled[i].revents)
                check(errno == EAGAIN, "recv");
        }
    }
    report(start, end);
}

/* ---- udp_receive ---- */

/* Ask until there is an answer: while the server's buffer is full, the question is lost as anything else. */
static struct moment ask(int fd) {
    double until = seconds_of(CLOCK_MONOTONIC) + options.patience;
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    while (seconds_of(CLOCK_MONOTONIC) < until) {
        send(fd, data, 0, 0);
        if (poll(&polled, 1, 20) > 0) {
            ssize_t length = recv(fd, reply, sizeof reply - 1, 0);
            check(length > 0, "recv");
            reply[length] = 0;
            struct moment moment = now(strtoull(reply, NULL, 10));
            while (poll(&polled, 1, 30) > 0) /* answers to earlier questions */
                check(recv(fd, reply, sizeof reply, 0) >= 0, "recv");
            return moment;
        }
    }
    fail("the server did not say how many it received for %g s", options.patience);
    abort();
}

static void flood(int fd, double seconds) {
    size_t run = options.size * RUN > RUN_BYTES ? RUN_BYTES / options.size * options.size : options.size * RUN;
    double until = seconds_of(CLOCK_MONOTONIC) + seconds;
    while (seconds_of(CLOCK_MONOTONIC) < until)
        for (int i = 0; i < 16; i++)
            check(send(fd, data, run, 0) >= 0 || errno == EAGAIN || errno == ECONNREFUSED || errno == ENOBUFS, "send");
}

static void receive(void) {
    int fd = open_socket(), size = (int)options.size, asking = open_socket();
    check(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size) == 0, "UDP_SEGMENT");
    flood(fd, options.warmup);
    struct moment start = ask(asking);
    start = now(start.datagrams); /* what it takes to ask is no part of it */
    flood(fd, options.seconds);
    report(start, ask(asking));
}

/* ---- udp_send ---- */

static uint64_t dropped(int fd) {
    uint32_t memory[9];
    socklen_t length = sizeof memory;
    check(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0, "SO_MEMINFO");
    return memory[8];
}

static void sink(void) {
    int fd = open_socket(), on = 1;
    uint64_t arrived = 0;
    struct moment start = {0}, end = {0};
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    double warm = seconds_of(CLOCK_MONOTONIC) + options.warmup;
    setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
    check(send(fd, data, 1, 0) == 1, "send");
    while (end.at == 0) {
        int ready = poll(&polled, 1, (int)(options.patience * 1e3));
        check(ready >= 0, "poll");
        if (ready == 0)
            fail("nothing came for %g s", options.patience);
        ssize_t length = recv(fd, reply, sizeof reply, 0);
        check(length > 0 || errno == EAGAIN, "recv");
        if (length % (ssize_t)options.size)
            fail("%zd bytes are no datagrams of %zu bytes", length, options.size);
        arrived += (uint64_t)length / options.size;
        double time = seconds_of(CLOCK_MONOTONIC);
        if (start.at == 0 && time >= warm)
            start = now(arrived + dropped(fd));
        else if (start.at != 0 && time >= start.at + options.seconds)
            end = now(arrived + dropped(fd));
    }
    report(start, end);
}

/* ---- options ---- */

static double number(const char *name, const char *text, double least) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= least) || value > 1e7)
        fail("--%s %s: expected a number from %g to 10000000", name, text, least);
    return value;
}

static void parse_address(const char *text) {
    char host[64];
    unsigned port;
    if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &options.address.sin_addr) != 1)
        fail("--address %s: expected 127.0.0.1:PORT", text);
    options.address.sin_family = AF_INET;
    options.address.sin_port = htons((uint16_t)port);
}

static void parse_options(int argc, char **argv) {
    static const struct option names[] = {
        {"address", 1, 0, 'a'}, {"size", 1, 0, 'n'}, {"burst", 1, 0, 'b'}, {"connections", 1, 0, 'c'},
        {"warmup", 1, 0, 'w'}, {"seconds", 1, 0, 's'}, {"patience", 1, 0, 't'}, {"server", 1, 0, 'p'}, {0, 0, 0, 0}};
    int option;
    while (options.mode < MODES && (argc < 2 || strcmp(argv[1], mode_names[options.mode]) != 0))
        options.mode++;
    if (options.mode == MODES)
        fail("the first argument is one of udp_echo, udp_receive, udp_send");
    for (optind = 2; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'a': parse_address(optarg); break;
        case 'n': options.size = (size_t)number("size", optarg, 1); break;
        case 'b': options.burst = (long)number("burst", optarg, 1); break;
        case 'c': options.connections = (long)number("connections", optarg, 1); break;
        case 'w': options.warmup = number("warmup", optarg, 0); break;
        case 's': options.seconds = number("seconds", optarg, 0); break;
        case 't': options.patience = number("patience", optarg, 0); break;
        case 'p': options.server = (pid_t)number("server", optarg, 1); break;
        default: exit(2);
        }
    }
    if (options.address.sin_family == 0)
        fail("--address is missing");
    if (options.size > 65507)
        fail("--size %zu: no datagram is larger than 65507 bytes", options.size);
}

int main(int argc, char **argv) {
    parse_options(argc, argv);
    data = malloc(RUN_BYTES);
    check(data != NULL, "malloc");
    for (size_t i = 0; i < RUN_BYTES; i++)
        data[i] = (char)(i * 7 % 251);
    switch (options.mode) {
    case ECHO: echo(); break;
    case RECEIVE: receive(); break;
    default: sink(); break;
    }
    return 0;
}
