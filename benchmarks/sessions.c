/* SOCKS5 clients that come and go (epoll, one thread); flows.c has their target.
 *   sessions PROXY TARGET COUNT CONCURRENT RATE
 * COUNT sessions: connect, 64 bytes there and back, close; at most CONCURRENT at a time; RATE of them
 * begin in a second, whether earlier ones have ended or not, or, if RATE is 0, as soon as there is
 * room.  Clients' addresses are in 127.0.1.0/24.  Prints a line for each session that succeeded, the
 * client's address.port and the microseconds from its beginning, as due, to the last byte back; at
 * the end "failed N", "hung N": those without an answer, given up when none of all the sessions
 * under way has moved for STALL seconds, and "took N": microseconds for all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#define STALL 5

enum state { IDLE, CONNECTING, METHOD, REPLY, ECHO };
struct client {
    int fd, got;
    enum state state;
    double begun;
    char name[32];
};

static int proxy, far;
static long done, failed;

static void finish(struct client *c, long *counter) {
    close(c->fd);
    c->state = IDLE;
    ++*counter;
}

static void begin(struct client *c, double begun) {
    static unsigned number;
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* A server that binds each outgoing connection takes all ports the kernel would choose from, for
     * all addresses and until a minute after: so choose others. */
    if (!number) number = getpid() * 7919u;
    number++;
    struct sockaddr_in from = loopback(0x7f000101 + number % 200, 10000 + number % 22000);
    struct sockaddr_in to = loopback(INADDR_LOOPBACK, proxy);
    c->state = CONNECTING;
    c->got = 0;
    c->begun = begun;
    if (bind(c->fd, (void *)&from, sizeof from)) die("bind");
    if (connect(c->fd, (void *)&to, sizeof to) && errno != EINPROGRESS) {
        finish(c, &failed);
        return;
    }
    watch(EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
}

static int step(struct client *c) {
    static unsigned char hello[] = {5, 1, 0}, body[SIZE], in[512];
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        struct sockaddr_in me;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) return -1;
        length = sizeof me;
        getsockname(c->fd, (void *)&me, &length);
        sprintf(c->name, "%s.%d", inet_ntoa(me.sin_addr), ntohs(me.sin_port));
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
        c->state = METHOD;
        return write(c->fd, hello, 3) == 3 ? 0 : -1;
    }
    ssize_t got = read(c->fd, in, sizeof in);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return -1;
    c->got += got;
    if (c->state == METHOD && c->got >= 2) {
        unsigned char request[10] = {5, 1, 0, 1, 127, 0, 0, 1, far >> 8, far & 255};
        c->state = REPLY;
        c->got = 0;
        return got == 2 && in[1] == 0 && write(c->fd, request, 10) == 10 ? 0 : -1;
    }
    if (c->state == REPLY && c->got >= 10) {
        c->state = ECHO;
        c->got = 0;
        memset(body, 'x', SIZE);
        return got == 10 && in[1] == 0 && write(c->fd, body, SIZE) == SIZE ? 0 : -1;
    }
    if (c->state == ECHO && c->got >= SIZE) {
        printf("%s %.0f\n", c->name, (now() - c->begun) * 1e6);
        return 1;
    }
    return 0;
}

static void run(long count, int concurrent, double rate) {
    struct client *clients = calloc(concurrent, sizeof *clients), **idle;
    struct epoll_event ev[256];
    int room = concurrent;
    long begun = 0;
    double start = now(), moved = start;
    idle = calloc(concurrent, sizeof *idle);
    for (int i = 0; i < concurrent; i++) idle[i] = &clients[i];
    while (done + failed < count) {
        double t = now();
        while (begun < count && room && (!rate || start + begun / rate <= t)) {
            struct client *c = idle[--room];
            begin(c, rate ? start + begun / rate : t);
            begun++;
            if (c->state == IDLE) idle[room++] = c;
        }
        int n = epoll_wait(ep, ev, 256, 1);
        for (int i = 0; i < n; i++) {
            struct client *c = ev[i].data.ptr;
            int result = step(c);
            if (result) finish(c, result > 0 ? &done : &failed);
            if (c->state == IDLE) idle[room++] = c;
        }
        t = now();
        if (n || room == concurrent) moved = t;
        if (t - moved > STALL) break;
    }
    printf("failed %ld\nhung %ld\n", failed, begun - done - failed);
    printf("took %.0f\n", (now() - start) * 1e6);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if ((ep = epoll_create1(0)) < 0) die("epoll_create1");
    if (argc != 6) {
        fprintf(stderr, "see the head of sessions.c\n");
        return 2;
    }
    proxy = atoi(argv[1]);
    far = atoi(argv[2]);
    run(atol(argv[3]), atoi(argv[4]), atof(argv[5]));
    return 0;
}
