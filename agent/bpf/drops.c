/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Packets that the kernel throws away: tracepoint skb:kfree_skb.
 *
 * Set by the loader: HAS_RX_SK, and NO_LOSS_0 to NO_LOSS_2, a bit for each reason
 * of the core that is no loss. */

#define REASON_BITS 192

/* Where drops have happened: user space finds the functions' names. */
BPF_TABLE("hash", u64, u64, locations, 4096);

static __always_inline int is_loss(u32 reason, struct parsed *p, struct place *at)
{
    u64 bits = reason < 64 ? NO_LOSS_0 : reason < 128 ? NO_LOSS_1 : NO_LOSS_2;

    if (reason < REASON_BITS && bits >> (reason & 63) & 1)
        return 0;
    /* An echo reply is offered to ping sockets last: raw ones have had it then. */
    if (reason == REASON_NO_SOCKET && p->known & KNOWN_ICMP &&
        p->icmp_type == (p->proto == PROTO_ICMP ? 0 : 129))
        return 0;
    /* Multicast for groups that nobody here is in ends without a reason. */
    if (reason == REASON_NOT_SPECIFIED &&
        (p->key.dst[0] == 0xff || (p->etype == ETH_IPV4 && p->key.dst[12] >> 4 == 14)))
        return 0;
    /* Without a device it had arrived and waited in a queue of a socket: that closes. */
    if (reason == REASON_NOT_SPECIFIED && !at->dev && at->ifindex)
        return 0;
    return 1;
}

static __always_inline void note_flow(struct hook *k, struct parsed *p, struct drop_event *d)
{
    struct flow_extra *e = extra_of(k->flow_slot, &p->key, k->now, p->etype, k->rule, k->c);

    if (!e)
        return;
    __sync_fetch_and_add(&e->drop_packets, 1);
    __sync_fetch_and_add(&e->drop_bytes, d->length);
    e->drop_reason = d->reason;
    e->drop_state = d->state;
    e->drop_flags = flag_classes(p);
    e->seen |= EXTRA_DROP;
}

int nobs_drops(struct raw_args *ctx)
{
    u64 skb = ctx->args[0], location = ctx->args[1], sk = 0, once = 1;
    struct drop_event d = {};
    struct netpacket n = {};
    struct parsed p = {};
    struct place at = {};
    struct hook k = {};

    if (!begin(&k, CAPTURE_DROPS))
        return 0;
    d.reason = ctx->args[2];
    if (!read_packet(skb, &n, &p))
        return 0;
#ifdef HAS_RX_SK
    sk = ctx->args[3];
#endif
    if (!sk)
        sk = peek(u64, skb, SKB_SK);
    place_packet(skb, sk, &at);
    if (!locate(&at))
        return 0;
    if (p.fragment == 2)
        follow_fragment(&p, k.c);
    if (!accepted(&k, &p, &at))
        return 0;
    d.length = n.len;
    d.location = location;
    if (is_pointer(sk) && p.proto == PROTO_TCP && peek(u64, sk, SOCK_NET) == at.net)
        d.state = peek(u8, sk, SOCK_STATE);
    d.loss = is_loss(d.reason, &p, &at);
    head_of_event((struct event_head *)&d, EVENT_DROP, &k, &p, &at);
    if (d.loss) {
        k.c->drops++;
        note_flow(&k, &p, &d);
    } else {
        k.c->drops_no_loss++;
    }
    if (!locations.lookup(&location))
        locations.insert(&location, &once);
    if (events.ringbuf_output(&d, sizeof(d), 0) < 0)
        k.c->event_lost_ring++;
    return 0;
}
