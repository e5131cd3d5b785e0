/* A target, and SOCKS5 clients whose sessions stay open (epoll, one thread).
 *   flows target                               on 127.0.0.1, for TCP and UDP; prints its port
 *   flows ping PROXY TARGET COUNT SECONDS      64 bytes there and back, one at a time each
 *   flows down PROXY TARGET COUNT SECONDS      bytes from the target, as fast as they come
 *   flows up   PROXY TARGET COUNT SECONDS      bytes to it
 *   flows udp  PROXY TARGET COUNT SECONDS      datagrams of 64 bytes there and back, WINDOW each
 *   flows hold PROXY TARGET COUNT SECONDS      nothing, until standard input ends; "held N" when all
 *                                              are open, or after SECONDS
 *   flows wait PROXY TARGET COUNT SECONDS      the same, with nothing said after the greeting
 * The target sends back what it gets; if the first byte is 'S' it sends instead, if it is 'K' it
 * only takes.  Clients' addresses are in 127.0.3.0/24.  Prints at the end, as "name value": "units",
 * all round trips, megabytes or datagrams; "per_s", of these, and "p50_us", "p99_us", in all but the
 * first fifth of the time; "errors". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

#define WINDOW 8
#define HEADER 10
#define OPENING 128 /* sessions that are being opened at a time */
#define TURNS 8     /* of one session before others get theirs */

static char big[1 << 18];

static void set(int fd, int level, int option, int value) {
    setsockopt(fd, level, option, &value, sizeof value);
}

/* The target. */

struct peer {
    int fd;
    char mode;
};

/* 0: it has gone. */
static int serve(struct peer *p, unsigned events) {
    ssize_t got;
    if (!p->mode) {
        if ((got = recv(p->fd, &p->mode, 1, MSG_PEEK)) != 1) return got < 0 && errno == EAGAIN;
        if (p->mode == 'S') watch(EPOLL_CTL_MOD, p->fd, EPOLLOUT | EPOLLRDHUP, p);
    }
    if (p->mode == 'S') {
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) return 0;
        for (int i = 0; i < TURNS; i++)
            if (write(p->fd, big, sizeof big) < 0) return errno == EAGAIN;
        return 1;
    }
    for (int i = 0; i < TURNS; i++) {
        got = read(p->fd, big, p->mode == 'K' ? sizeof big : 4096);
        if (got <= 0) return got < 0 && errno == EAGAIN;
        /* Less than a socket's buffer is ever under way: no write is cut. */
        if (p->mode != 'K' && write(p->fd, big, got) != got) return 0;
    }
    return 1;
}

static void target(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = loopback(INADDR_LOOPBACK, 0);
    socklen_t length = sizeof a;
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 4096)) die("listen");
    getsockname(listener, (void *)&a, &length);
    set(datagrams, SOL_SOCKET, SO_RCVBUF, 4 << 20);
    if (bind(datagrams, (void *)&a, sizeof a)) die("bind");
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    struct epoll_event ev[256];
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    watch(EPOLL_CTL_ADD, datagrams, EPOLLIN, &datagrams);
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1), fd;
        for (int i = 0; i < n; i++) {
            struct peer *p = ev[i].data.ptr;
            if (ev[i].data.ptr == &listener) {
                while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
                    p = calloc(1, sizeof *p);
                    p->fd = fd;
                    watch(EPOLL_CTL_ADD, fd, EPOLLIN, p);
                }
            } else if (ev[i].data.ptr == &datagrams) {
                ssize_t got;
                while (length = sizeof a,
                       (got = recvfrom(datagrams, big, sizeof big, 0, (void *)&a, &length)) >= 0)
                    sendto(datagrams, big, got, 0, (void *)&a, length);
            } else if (!serve(p, ev[i].events)) {
                close(p->fd);
                free(p);
            }
        }
    }
}

/* The clients. */

enum state { CONNECTING, METHOD, REPLY, OPEN };
struct client {
    int fd, datagrams, got;
    enum state state;
    double sent;
    unsigned char heard[64];
    struct sockaddr_in relay;
};

static const char *what;
static int proxy, far;
static long opened, errors, trips;
static double bytes;
static double *waits;
static long number, room;

static void waited(double seconds) {
    if (number == room) waits = realloc(waits, (room = room ? 2 * room : 65536) * sizeof *waits);
    waits[number++] = seconds;
    trips++;
}

static int is(const char *name) { return !strcmp(what, name); }

static int idle(void) { return is("hold") || is("wait"); }

static void begin(struct client *c) {
    static unsigned numbers;
    struct sockaddr_in from = loopback(0x7f000301 + numbers++ % 200, 0);
    struct sockaddr_in to = loopback(INADDR_LOOPBACK, proxy);
    memset(c, 0, sizeof *c);
    c->datagrams = -1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    set(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(c->fd, (void *)&from, sizeof from)) die("bind");
    if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) errors++;
    watch(EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
}

static void again(struct client *c) {
    errors++;
    close(c->fd);
    if (c->datagrams >= 0) close(c->datagrams);
    if (c->state == OPEN) opened--;
    begin(c);
}

static void send_datagram(struct client *c) {
    unsigned char data[HEADER + SIZE] = {0, 0, 0, 1, 127, 0, 0, 1, far >> 8, far & 255};
    double t = now();
    memcpy(data + HEADER, &t, sizeof t);
    sendto(c->datagrams, data, sizeof data, 0, (void *)&c->relay, sizeof c->relay);
}

static int send_trip(struct client *c) {
    c->sent = now();
    c->got = 0;
    return write(c->fd, big, SIZE) == SIZE;
}

static int opens(struct client *c) {
    c->state = OPEN;
    opened++;
    if (is("udp")) {
        struct sockaddr_in a;
        socklen_t length = sizeof a;
        getsockname(c->fd, (void *)&a, &length);
        a.sin_port = 0;
        memcpy(&c->relay, &a, sizeof a);
        c->relay.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(&c->relay.sin_port, c->heard + 8, 2);
        c->datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        set(c->datagrams, SOL_SOCKET, SO_RCVBUF, 4 << 20);
        if (bind(c->datagrams, (void *)&a, sizeof a)) die("bind");
        watch(EPOLL_CTL_ADD, c->datagrams, EPOLLIN, c);
        for (int i = 0; i < WINDOW; i++) send_datagram(c);
        return 1;
    }
    if (is("ping")) return send_trip(c);
    if (is("up")) watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    return idle() || write(c->fd, is("up") ? "K" : "S", 1) == 1;
}

/* 0: something went wrong. */
static int negotiate(struct client *c) {
    unsigned char hello[] = {5, 1, 0};
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
        c->state = METHOD;
        return !error && write(c->fd, hello, 3) == 3;
    }
    ssize_t got = read(c->fd, c->heard + c->got, sizeof c->heard - c->got);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    c->got += got;
    if (c->state == METHOD && c->got >= 2) {
        if (is("wait")) return opens(c);
        unsigned char request[] = {5, 1, 0, 1, 127, 0, 0, 1, far >> 8, far & 255};
        if (is("udp")) {
            request[1] = 3;
            memset(request + 4, 0, 6);
        }
        if (c->heard[1]) return 0;
        c->state = REPLY;
        c->got = 0;
        return write(c->fd, request, sizeof request) == sizeof request;
    }
    if (c->state == REPLY && c->got >= HEADER) return !c->heard[1] && opens(c);
    return 1;
}

static int step(struct client *c) {
    ssize_t got = 0;
    if (c->state != OPEN) return negotiate(c);
    if (is("udp")) {
        double t;
        for (int i = 0; i < 64 && (got = recv(c->datagrams, big, sizeof big, 0)) > 0; i++) {
            memcpy(&t, big + HEADER, sizeof t);
            waited(now() - t);
            send_datagram(c);
        }
        return 1;
    }
    for (int i = 0; i < TURNS; i++) {
        got = is("up") ? write(c->fd, big, sizeof big) : read(c->fd, big, sizeof big);
        if (got <= 0) return got < 0 && errno == EAGAIN;
        bytes += got;
        if (!is("ping")) continue;
        c->got += got;
        if (c->got < SIZE) return 1;
        waited(now() - c->sent);
        return send_trip(c);
    }
    return 1;
}

static int shorter(const void *a, const void *b) {
    double x = *(double *)a, y = *(double *)b;
    return (x > y) - (x < y);
}

static void run(int count, double seconds) {
    struct client *clients = calloc(count, sizeof *clients);
    struct epoll_event ev[1024];
    double start = now(), warm = 0, before = 0;
    long before_trips = 0;
    int begun = 0, told = 0;
    if (idle()) watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
    for (;;) {
        double t = now();
        if (!idle() && t - start > seconds) break;
        if (idle() && !told && (opened == count || t - start > seconds)) {
            printf("held %ld\n", opened);
            fflush(stdout);
            told = 1;
        }
        if (!warm && t - start > seconds / 5) {
            warm = t;
            before = bytes;
            before_trips = trips;
            number = 0;
        }
        while (begun < count && begun - opened < OPENING) begin(&clients[begun++]);
        int n = epoll_wait(ep, ev, 1024, 50);
        for (int i = 0; i < n; i++) {
            if (!ev[i].data.ptr) return;
            if (!step(ev[i].data.ptr)) again(ev[i].data.ptr);
        }
    }
    double elapsed = now() - warm, each = is("down") || is("up") ? 1e6 : 0;
    qsort(waits, number, sizeof *waits, shorter);
    printf("units %.3f\n", each ? bytes / each : trips);
    printf("per_s %.3f\n", (each ? (bytes - before) / each : trips - before_trips) / elapsed);
    printf("p50_us %.0f\n", number ? waits[number / 2] * 1e6 : 0);
    printf("p99_us %.0f\n", number ? waits[(long)(number * 0.99)] * 1e6 : 0);
    printf("errors %ld\n", errors);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if ((ep = epoll_create1(0)) < 0) die("epoll_create1");
    if (argc == 2 && !strcmp(argv[1], "target")) target();
    if (argc != 6) {
        fprintf(stderr, "see the head of flows.c\n");
        return 2;
    }
    what = argv[1];
    proxy = atoi(argv[2]);
    far = atoi(argv[3]);
    run(atoi(argv[4]), atof(argv[5]));
    return 0;
}
