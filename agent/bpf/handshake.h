/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* How long a TCP handshake takes on the wire, RFC 9293 section 3.5.
 *
 * Of a segment that was sent again the last one counts: mostly it is the one
 * that was answered. */

struct handshake {
    u64 syn_ns, syn_ack_ns;
};

/* By the client's direction. */
BPF_TABLE("lru_hash", struct flow_key, struct handshake, handshakes, 8192);

#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

static __always_inline void reverse(struct flow_key *to, const struct flow_key *from)
{
    u64 rest = *(const u64 *)&from->sport;

    copy16(to->src, from->dst);
    copy16(to->dst, from->src);
    *(u64 *)&to->sport = (rest & ~0xffffffffULL) | (rest & 0xffff) << 16 | (rest >> 16 & 0xffff);
}

static __always_inline void follow_handshake(struct parsed *p, u32 flow_slot, u64 now, u32 rule,
                                             struct counters *c)
{
    struct handshake *h;
    struct flow_extra *e;

    if (p->flags & TCP_SYN && !(p->flags & TCP_ACK)) {
        struct handshake n = {.syn_ns = now};

        handshakes.update(&p->key, &n);
    } else if (p->flags & TCP_SYN) {
        struct flow_key client;

        reverse(&client, &p->key);
        h = handshakes.lookup(&client);
        if (h)
            h->syn_ack_ns = now;
    } else if (p->flags & TCP_ACK) {
        h = handshakes.lookup(&p->key);
        if (!h)
            return;
        if (h->syn_ack_ns && !(p->flags & TCP_RST)) {
            e = extra_of(flow_slot, &p->key, now, p->etype, rule, c);
            if (e) {
                e->handshake_ns = now - h->syn_ns;
                e->syn_ack_ns = h->syn_ack_ns - h->syn_ns;
                e->seen |= EXTRA_HANDSHAKE;
            }
        }
        handshakes.delete(&p->key);
    }
}
