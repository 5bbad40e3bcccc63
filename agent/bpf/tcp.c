/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* What happens to TCP connections: tracepoints tcp:tcp_retransmit_skb,
 * tcp:tcp_retransmit_synack, tcp:tcp_send_reset, tcp:tcp_receive_reset, sock:inet_sock_set_state.
 *
 * Set by the loader: HAS_RESET_REASON. */

/* include/net/tcp_states.h */
#define SYN_SENT 2
#define FIN_WAIT1 4
#define CLOSE 7
#define LAST_ACK 9
#define LISTEN 10

#define FLAG_RST 0x04

/* How long a socket is in its state, and whose it is. The owner is told by what
 * runs in its own context alone: connect, listen, close. */
struct owner {
    u64 since_ns;
    u32 pid;
    u32 closed; /* kept for the reset that follows; its next life starts anew */
    char comm[16];
};

BPF_TABLE("lru_hash", u64, struct owner, owners, 32768);

static __always_inline void name_owner(u64 sk, struct tcp_event *t)
{
    struct owner *o = owners.lookup(&sk);

    if (o) {
        t->pid = o->pid;
        __builtin_memcpy(t->comm, o->comm, sizeof(t->comm));
    }
}

static __always_inline void emit(struct tcp_event *t, struct hook *k, struct parsed *p,
                                 struct place *at)
{
    head_of_event((struct event_head *)t, EVENT_TCP, k, p, at);
    k->c->tcp_events++;
    if (events.ringbuf_output(t, sizeof(*t), 0) < 0)
        k->c->event_lost_ring++;
}

/* conn: the socket, or the request for one, that the segments belong to. */
static __always_inline int sent_again(u64 sk, u64 conn, u16 segments)
{
    struct tcp_event t = {.event = TCP_RETRANSMIT, .segments = segments};
    struct parsed p = {};
    struct place at = {.direction = 1};
    struct hook k = {};
    struct flow_extra *e;

    if (!begin(&k, CAPTURE_TCP) || !read_socket(conn, &p, 0))
        return 0;
    place_socket(sk, &at);
    if (!locate(&at) || !accepted(&k, &p, &at))
        return 0;
    t.old_state = peek(u8, conn, SOCK_STATE);
    name_owner(sk, &t);
    e = extra_of(k.flow_slot, &p.key, k.now, p.etype, k.rule, k.c);
    if (e) {
        __sync_fetch_and_add(&e->retransmits, segments);
        e->seen |= EXTRA_RETRANSMIT;
    }
    emit(&t, &k, &p, &at);
    return 0;
}

int nobs_retransmit(struct raw_args *ctx)
{
    /* One packet of the stack may be several segments: struct tcp_skb_cb. */
    u16 segments = peek(u16, ctx->args[1], SKB_CB + TCP_CB_SEGMENTS);

    return sent_again(ctx->args[0], ctx->args[0], segments ? segments : 1);
}

int nobs_retransmit_synack(struct raw_args *ctx)
{
    return sent_again(ctx->args[0], ctx->args[1], 1);
}

/* From the packet that caused it, where there is one: it has no socket then. */
static __always_inline int read_reset(u64 sk, u64 skb, struct parsed *p, struct place *at)
{
    struct netpacket n = {};
    struct parsed cause = {};

    if (!skb) {
        place_socket(sk, at);
        return read_socket(sk, p, 0);
    }
    place_packet(skb, sk, at);
    if (!read_packet(skb, &n, &cause) || !(cause.known & KNOWN_PORTS))
        return 0;
    copy16(p->key.src, cause.key.dst);
    copy16(p->key.dst, cause.key.src);
    p->sport = cause.dport;
    p->dport = cause.sport;
    p->proto = PROTO_TCP;
    p->etype = cause.etype;
    p->ip = 1;
    p->known = KNOWN_PORTS;
    return 1;
}

int nobs_send_reset(struct raw_args *ctx)
{
    u64 sk = ctx->args[0], skb = ctx->args[1];
    struct tcp_event t = {.event = TCP_RESET_SENT};
    struct parsed p = {};
    struct place at = {};
    struct hook k = {};

    if (!begin(&k, CAPTURE_TCP) || !read_reset(sk, skb, &p, &at))
        return 0;
    at.direction = 1;
    p.flags = FLAG_RST;
    if (!locate(&at) || !accepted(&k, &p, &at))
        return 0;
#ifdef HAS_RESET_REASON
    t.reason = ctx->args[2];
#endif
    if (sk) {
        t.old_state = peek(u8, sk, SOCK_STATE);
        name_owner(sk, &t);
    }
    emit(&t, &k, &p, &at);
    return 0;
}

int nobs_receive_reset(struct raw_args *ctx)
{
    u64 sk = ctx->args[0];
    struct tcp_event t = {.event = TCP_RESET_RECEIVED};
    struct parsed p = {};
    struct place at = {};
    struct hook k = {};

    if (!begin(&k, CAPTURE_TCP) || !read_socket(sk, &p, 1))
        return 0;
    place_socket(sk, &at);
    p.flags = FLAG_RST;
    if (!locate(&at) || !accepted(&k, &p, &at))
        return 0;
    t.old_state = peek(u8, sk, SOCK_STATE);
    name_owner(sk, &t);
    emit(&t, &k, &p, &at);
    return 0;
}

static __always_inline int in_owners_context(u32 before, u32 after)
{
    return after == SYN_SENT || after == LISTEN || after == FIN_WAIT1 || after == LAST_ACK ||
           (before == LISTEN && after == CLOSE);
}

/* Follows every socket, whatever the rules: they may change before it does. */
static __always_inline void follow(u64 sk, u64 now, struct tcp_event *t)
{
    struct owner n = {.since_ns = now, .closed = t->new_state == CLOSE};
    struct owner *o = owners.lookup(&sk);

    if (o && !o->closed && t->old_state != CLOSE) {
        t->duration_ns = now - o->since_ns;
        n.pid = o->pid;
        __builtin_memcpy(n.comm, o->comm, sizeof(n.comm));
    }
    if (in_owners_context(t->old_state, t->new_state)) {
        n.pid = bpf_get_current_pid_tgid() >> 32;
        bpf_get_current_comm(n.comm, sizeof(n.comm));
    }
    t->pid = n.pid;
    __builtin_memcpy(t->comm, n.comm, sizeof(t->comm));
    owners.update(&sk, &n);
}

int nobs_state(struct raw_args *ctx)
{
    u64 sk = ctx->args[0];
    struct tcp_event t = {.event = TCP_STATE};
    struct parsed p = {};
    struct place at = {.direction = 1};
    struct hook k = {};

    if (!begin(&k, CAPTURE_TCP) || peek(u16, sk, SOCK_PROTOCOL) != PROTO_TCP ||
        !read_socket(sk, &p, 0))
        return 0;
    t.old_state = ctx->args[1];
    t.new_state = ctx->args[2];
    follow(sk, bpf_ktime_get_ns(), &t);
    place_socket(sk, &at);
    if (!locate(&at) || !accepted(&k, &p, &at))
        return 0;
    emit(&t, &k, &p, &at);
    return 0;
}
