/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* DNS messages: finds them in packets, matches responses to queries.
 *
 * Takes over from a capture program (handover) and ends as that would. Headers
 * are RFC 1035 4.1.1, messages over TCP RFC 7766 section 8. Nothing of a name is
 * read here. */

#define PASS (-1)
#define DNS_HEADER 12
#define DNS_RESPONSE 0x8000
#define MESSAGES_PER_SEGMENT 4
#define QUERY_LIFE_NS 30000000000ULL /* a second query of that age is another one */
#define ERR_NO_QUERY 2   /* ENOENT */
#define ERR_CUT_SHORT 22 /* EINVAL */
#define SYN 0x02

struct query_key {
    u64 client[2], server[2];
    u16 client_port, server_port, id, proto;
};

struct query {
    u64 first_ns;
    u64 retries;
};

/* Where the next message of one direction of a connection starts. */
struct stream {
    u32 next;          /* its sequence number */
    u16 length;        /* behind_length: of the message */
    u16 behind_length; /* the two bytes of the length have been seen */
};

BPF_TABLE("lru_hash", struct query_key, struct query, queries, 16384);
BPF_TABLE("lru_hash", struct flow_key, struct stream, streams, 8192);

/* One message: where it starts, how long it says it is, how much of it is there. */
struct message {
    u32 off, length, avail;
};

static __always_inline void write_extra(struct handover *h, struct dns_event *d,
                                        struct counters *c)
{
    struct flow_extra *e = extra_of(h->flow_slot, &h->key, h->now, h->etype, h->rule, c);

    if (!e || (e->seen & EXTRA_DNS && e->dns_latency_ns >= d->latency_ns))
        return;
    e->dns_latency_ns = d->latency_ns;
    e->dns_id = d->id;
    e->dns_flags = d->flags2;
    e->dns_errno = d->errno;
    e->seen |= EXTRA_DNS;
}

static __always_inline void match_query(struct handover *h, struct dns_event *d)
{
    struct query_key k = {
        .client_port = h->key.sport, .server_port = h->key.dport, .id = d->id,
        .proto = h->key.proto,
    };
    struct query n = {.first_ns = h->now};
    struct query *q;

    copy16(k.client, h->key.src);
    copy16(k.server, h->key.dst);
    d->query_ns = h->now;
    q = queries.lookup(&k);
    if (q && h->now - q->first_ns < QUERY_LIFE_NS) {
        q->retries++;
        d->retries = q->retries;
        d->query_ns = q->first_ns;
        return;
    }
    queries.update(&k, &n);
}

static __always_inline void match_response(struct handover *h, struct dns_event *d)
{
    struct query_key k = {
        .client_port = h->key.dport, .server_port = h->key.sport, .id = d->id,
        .proto = h->key.proto,
    };
    struct query *q;

    copy16(k.client, h->key.dst);
    copy16(k.server, h->key.src);
    q = queries.lookup(&k);
    if (!q) {
        if (!d->errno)
            d->errno = ERR_NO_QUERY;
        return;
    }
    d->query_ns = q->first_ns;
    d->latency_ns = h->now - q->first_ns;
    d->retries = q->retries;
    queries.delete(&k);
}

static __always_inline void emit(struct __sk_buff *skb, struct handover *h, struct message *m,
                                 struct counters *c)
{
    u32 cpu = bpf_get_smp_processor_id();
    struct scratch *s = scratch.lookup(&cpu);
    struct dns_event *d = (void *)s;
    u8 head[16] __attribute__((aligned(8)));
    u64 n = m->avail;

    if (!s || m->avail < DNS_HEADER || m->length < DNS_HEADER ||
        load(skb, m->off, head, DNS_HEADER) < 0) {
        c->dns_unread++;
        return;
    }
    __builtin_memset(d, 0, sizeof(*d));
    d->id = be16(head);
    d->flags2 = be16(head + 2);
    if (!(d->flags2 & DNS_RESPONSE ? h->from_server : h->to_server)) {
        c->dns_unread++;
        return;
    }
    d->time_ns = h->now;
    d->ifindex = h->ifindex;
    d->generation = h->generation;
    __builtin_memcpy(d->src, &h->key, sizeof(h->key));
    d->etype = h->etype;
    d->kind = EVENT_DNS;
    d->rule = h->rule;
    d->direction = h->direction;
    d->flags = h->flags;
    d->message_len = m->length;
    if (m->avail < m->length && h->key.proto == PROTO_UDP) /* else it goes on in the next segment */
        d->errno = ERR_CUT_SHORT;
    if (d->flags2 & DNS_RESPONSE) {
        match_response(h, d);
        write_extra(h, d, c);
    } else {
        match_query(h, d);
    }
    c->dns_messages++;
    if (n > m->length)
        n = m->length;
    opaque(n);
    if (n > DNS_SNAP)
        n = DNS_SNAP;
    if (n < 1 || bpf_skb_load_bytes(skb, m->off, (void *)s + sizeof(*d), n) < 0)
        n = 0;
    d->cap_len = n;
    if (events.ringbuf_output(s, sizeof(*d) + n, 0) < 0)
        c->event_lost_ring++;
}

static __always_inline void read_datagram(struct __sk_buff *skb, struct handover *h,
                                          struct counters *c)
{
    u8 udp[8] __attribute__((aligned(8)));
    struct message m = {.off = h->transport + 8};

    if (load(skb, h->transport, udp, 8) < 0 || skb->len < m.off) {
        c->dns_unread++;
        return;
    }
    m.length = be16(udp + 4) - 8;
    m.avail = skb->len - m.off;
    if (m.length > 65535) /* a length below that of the header, or 0 for a jumbogram */
        m.length = m.avail;
    emit(skb, h, &m, c);
}

/* Where the packet's payload ends: a short frame is padded. */
static __always_inline u32 payload_end(struct __sk_buff *skb, struct handover *h)
{
    u8 ip[8] __attribute__((aligned(8)));
    u32 length;

    if (load(skb, h->network, ip, 8) < 0)
        return 0;
    if (h->etype == ETH_IPV4)
        length = be16(ip + 2);
    else
        length = be16(ip + 4) ? be16(ip + 4) + 40 : 0;
    length = length ? h->network + length : skb->len; /* 0: larger than it can say */
    return length < skb->len ? length : skb->len;
}

/* Without having seen the connection's start: is that a message and its length? */
static __always_inline int looks_like_message(struct __sk_buff *skb, u32 off, u32 end)
{
    u8 head[16] __attribute__((aligned(8)));

    if (off + 2 + DNS_HEADER > end || load(skb, off, head, 8) < 0)
        return 0;
    return be16(head) == end - off - 2 ||
           (be16(head) >= DNS_HEADER && be16(head + 6) == 1 && !(head[4] & 0x40));
}

static __always_inline void read_segment(struct __sk_buff *skb, struct handover *h,
                                         struct counters *c)
{
    u8 tcp[16] __attribute__((aligned(8)));
    u8 prefix[2] __attribute__((aligned(8)));
    struct stream *known = streams.lookup(&h->key);
    struct stream s = {};
    struct message m = {};
    u32 seq, off, end = payload_end(skb, h);
    int i;

    if (load(skb, h->transport, tcp, 14) < 0)
        return;
    seq = (u32)be16(tcp + 4) << 16 | be16(tcp + 6);
    if (tcp[13] & SYN) {
        s.next = seq + 1;
        streams.update(&h->key, &s);
        return;
    }
    off = h->transport + (tcp[12] >> 4) * 4;
    if (off >= end)
        return;
    if (known) {
        s = *known;
        if ((s32)(s.next - seq) < 0) { /* a segment was missed */
            known = 0;
            s.behind_length = 0;
        } else if (s.next - seq >= end - off) {
            return; /* the middle of a message, or seen before */
        }
    }
    if (!known) {
        if (!looks_like_message(skb, off, end)) {
            c->dns_unread++;
            return;
        }
        s.next = seq;
    }
    for (i = 0; i < MESSAGES_PER_SEGMENT; i++) {
        m.off = off + (s.next - seq);
        if (m.off >= end)
            break;
        if (s.behind_length) {
            m.length = s.length;
        } else {
            if (m.off + 2 > end || bpf_skb_load_bytes(skb, m.off, prefix, 2) < 0)
                break;
            m.length = be16(prefix);
            m.off += 2;
            s.next += 2;
            if (m.off == end) { /* the length alone: the message follows */
                s.length = m.length;
                s.behind_length = 1;
                break;
            }
        }
        s.behind_length = 0;
        s.next += m.length;
        m.avail = end - m.off < m.length ? end - m.off : m.length;
        emit(skb, h, &m, c);
    }
    streams.update(&h->key, &s);
}

int nobs_dns(struct __sk_buff *skb)
{
    u32 zero = 0;
    struct handover *h = handovers.lookup(&zero);
    struct counters *c = counters.lookup(&zero);

    if (!h || !c)
        return PASS;
    if (h->key.proto == PROTO_UDP)
        read_datagram(skb, h, c);
    else if (h->key.proto == PROTO_TCP)
        read_segment(skb, h, c);
    return PASS;
}
