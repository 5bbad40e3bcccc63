/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* The programs at the hooks: count, classify, keep flows and packets.
 * Each returns "next" (-1), whatever it did: the traffic is never touched. */

#define PASS (-1) /* TCX_NEXT and TC_ACT_UNSPEC */

/* A packet that crosses two interfaces may meet a flip of the flow tables
 * between them. Within this time after one, a flow that was counted elsewhere
 * before is taken to be such a packet. */
#define TRANSIT_NS 5000000ULL

static __always_inline struct flow_value *find_flow(u32 slot, struct flow_key *k)
{
    return slot ? flows1.lookup(k) : flows0.lookup(k);
}

static __always_inline u16 flag_classes(struct parsed *p)
{
    u16 f = p->flags;

    if (!(p->known & KNOWN_FLAGS))
        return 0;
    if ((f & 0x12) == 0x12) f |= 0x100; /* SYN+ACK */
    if ((f & 0x11) == 0x11) f |= 0x200; /* FIN+ACK */
    if ((f & 0x14) == 0x14) f |= 0x400; /* RST+ACK */
    return f;
}

static __always_inline void note_interface(struct flow_value *f, u32 ifindex, u32 direction)
{
    u32 mark = ifindex | direction << 31;
    int i;

#pragma unroll
    for (i = 0; i < OTHER_INTERFACES; i++) {
        if (f->others[i] == mark)
            return;
        if (!f->others[i]) {
            f->others[i] = mark;
            return;
        }
    }
    f->others_lost = 1;
}

static __always_inline void add_to_flow(struct flow_value *f, struct parsed *p, u64 now, u32 bytes,
                                        u32 ifindex, u32 direction, struct counters *c)
{
    u16 flags;

    if (f->ifindex != ifindex || f->direction != direction) {
        note_interface(f, ifindex, direction);
        c->flow_other_interface++;
        return;
    }
    __sync_fetch_and_add(&f->bytes, bytes);
    __sync_fetch_and_add(&f->packets, 1);
    f->last_ns = now;
    f->dscp = p->dscp;
    flags = flag_classes(p);
    if ((f->flags & flags) != flags)
        f->flags |= flags;
}

/* Was this flow counted on another interface just before the tables flipped? */
static __always_inline int in_transit(struct control *ctl, u32 flow_slot, struct ruleset *rs,
                                      struct flow_key *k, u64 now, u32 ifindex, u32 direction)
{
    struct home *h;

    if (!rs->same_everywhere || now - ctl->flip_ns[flow_slot & 1] > TRANSIT_NS)
        return 0;
    h = homes.lookup(k);
    return h && (h->ifindex != ifindex || h->direction != direction);
}

static __always_inline void new_flow(u32 flow_slot, struct parsed *p, u64 now, u32 bytes,
                                     u32 ifindex, u32 direction, u32 rule, struct counters *c)
{
    struct home home = {.ifindex = ifindex, .direction = direction};
    struct flow_value f = {
        .first_ns = now, .last_ns = now, .bytes = bytes, .packets = 1, .ifindex = ifindex,
        .etype = p->etype, .flags = flag_classes(p), .direction = direction, .dscp = p->dscp,
        .rule = rule, .vlan = p->vlan_tci,
    };
    struct flow_value *other;
    int err;

    __builtin_memcpy(f.dst_mac, p->macs, 6);
    __builtin_memcpy(f.src_mac, p->macs + 6, 6);
    if (flow_slot)
        err = flows1.insert(&p->key, &f);
    else
        err = flows0.insert(&p->key, &f);
    if (!err) {
        homes.update(&p->key, &home);
        return;
    }
    other = find_flow(flow_slot, &p->key); /* another CPU was first */
    if (other) {
        add_to_flow(other, p, now, bytes, ifindex, direction, c);
        return;
    }
    c->flow_lost_full++;
    c->flow_lost_full_bytes += bytes;
}

static __always_inline void keep_flow(struct control *ctl, u32 flow_slot, struct ruleset *rs,
                                      struct parsed *p, u64 now, u32 bytes, u32 ifindex,
                                      u32 direction, u32 rule, struct counters *c)
{
    struct flow_value *f = find_flow(flow_slot, &p->key);

    if (f)
        add_to_flow(f, p, now, bytes, ifindex, direction, c);
    else if (in_transit(ctl, flow_slot, rs, &p->key, now, ifindex, direction))
        c->flow_other_interface++;
    else
        new_flow(flow_slot, p, now, bytes, ifindex, direction, rule, c);
}

static __always_inline void keep_packet(struct __sk_buff *skb, struct ruleset *rs,
                                        struct parsed *p, u64 now, u32 direction, u32 rule,
                                        struct counters *c)
{
    u32 cpu = bpf_get_smp_processor_id();
    struct scratch *s = scratch.lookup(&cpu);
    u64 n = skb->len;

    if (!s)
        return;
    if (rs->snaplen && n > rs->snaplen)
        n = rs->snaplen;
    opaque(n); /* so that the bounds below are checked on one 64-bit register */
    if (n > MAX_SNAP)
        n = MAX_SNAP;
    if (n < 1)
        return;
    if (bpf_skb_load_bytes(skb, 0, s->data, n) < 0)
        n = 0;
    s->head.time_ns = now;
    s->head.orig_len = skb->len;
    s->head.cap_len = n;
    s->head.ifindex = skb->ifindex;
    s->head.generation = rs->generation;
    __builtin_memcpy(s->head.src, &p->key, sizeof(p->key));
    s->head.etype = p->etype;
    s->head.vlan_tci = p->vlan_tci;
    s->head.vlan_proto = p->vlan_proto;
    s->head.flags = p->flags;
    s->head.dscp = p->dscp;
    s->head.direction = direction;
    s->head.rule = rule;
    if (ring.ringbuf_output(s, sizeof(s->head) + n, 0) < 0) { /* full */
        c->packet_lost_ring++;
        c->packet_lost_ring_bytes += n;
    }
}

static __always_inline int capture(struct __sk_buff *skb, u32 direction, int ethernet)
{
    u32 zero = 0, slot, flow_slot, bytes, rule;
    struct control *ctl = control.lookup(&zero);
    struct counters *c = counters.lookup(&zero);
    struct parsed p = {};
    struct ruleset *rs;
    u64 word, now, v;

    if (!ctl || !c)
        return PASS;
    word = *(volatile u64 *)&ctl->word;
    slot = word & 1;
    flow_slot = word >> 1 & 1;
    rs = rulesets.lookup(&slot);
    if (!rs || !(rs->capture & (CAPTURE_FLOWS | CAPTURE_PACKETS)))
        return PASS;

    bytes = skb->len + (skb->vlan_present ? 4 : 0);
    c->seen++;
    c->seen_bytes += bytes;
    if (rs->sampling > 1 && bpf_get_prandom_u32() % rs->sampling) {
        c->sampled_out++;
        return PASS;
    }
    parse(skb, &p, ethernet);
    if (!p.ip) {
        if (p.malformed)
            c->malformed++;
        else
            c->not_ip++;
    } else if (p.fragment) {
        follow_fragment(&p, c);
    }
    seal(&p);
    v = rs->all ? classify(rs, slot, &p, skb->ifindex, direction) : 0;
    now = bpf_ktime_get_ns();
    if (rs->capture & CAPTURE_FLOWS && p.ip) {
        if (decide(rs, slot, 0, v, bytes, &rule)) {
            c->flow_accepted++;
            keep_flow(ctl, flow_slot, rs, &p, now, bytes, skb->ifindex, direction, rule, c);
        } else {
            c->flow_rejected++;
        }
    }
    if (rs->capture & CAPTURE_PACKETS) {
        if (decide(rs, slot, 1, v, bytes, &rule)) {
            c->packet_accepted++;
            keep_packet(skb, rs, &p, now, direction, rule, c);
        } else {
            c->packet_rejected++;
        }
    }
    return PASS;
}

int nobs_eth_in(struct __sk_buff *skb) { return capture(skb, 0, 1); }
int nobs_eth_out(struct __sk_buff *skb) { return capture(skb, 1, 1); }
int nobs_ip_in(struct __sk_buff *skb) { return capture(skb, 0, 0); }
int nobs_ip_out(struct __sk_buff *skb) { return capture(skb, 1, 0); }
