/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* The programs at the hooks: count, classify, keep flows and packets.
 * Each returns "next" (-1), whatever it did: the traffic is never touched. */

#define PASS (-1) /* TCX_NEXT and TC_ACT_UNSPEC */

/* A packet that crosses two interfaces may meet a flip of the flow tables
 * between them. Within this time after one, a flow that was counted elsewhere
 * before is taken to be such a packet. */
#define TRANSIT_NS 5000000ULL

BPF_TABLE("lru_hash", struct flow_key, struct home, homes, FLOW_CAPACITY);
BPF_RINGBUF_OUTPUT(ring, RING_PAGES);

/* Programs that one of these may end with; an empty place costs nothing. */
#define TAIL_DNS 0
BPF_PROG_ARRAY(tails, 1);

static __always_inline void add_hit(u32 slot, u32 kind, u32 rule, u32 bytes)
{
    u32 i = (slot * 2 + kind) * (NO_RULE + 1) + rule;
    struct hit *h = hits.lookup(&i);

    if (h) {
        h->packets++;
        h->bytes += bytes;
    }
}

static __always_inline int decide(struct ruleset *rs, u32 slot, u32 kind, u64 v, u32 bytes,
                                  u32 *rule)
{
    int accept = verdict(rs, kind, v, rule);

    add_hit(slot, kind, *rule, bytes);
    return accept;
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

/* True if it is counted here. */
static __always_inline int add_to_flow(struct flow_value *f, struct parsed *p, u64 now, u32 bytes,
                                       u32 ifindex, u32 direction, struct counters *c)
{
    u16 flags;

    if (f->ifindex != ifindex || f->direction != direction) {
        note_interface(f, ifindex, direction);
        c->flow_other_interface++;
        return 0;
    }
    __sync_fetch_and_add(&f->bytes, bytes);
    __sync_fetch_and_add(&f->packets, 1);
    f->last_ns = now;
    f->dscp = p->dscp;
    flags = flag_classes(p);
    if ((f->flags & flags) != flags)
        f->flags |= flags;
    return 1;
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

static __always_inline int new_flow(u32 flow_slot, struct parsed *p, u64 now, u32 bytes,
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
        return 1;
    }
    other = find_flow(flow_slot, &p->key); /* another CPU was first */
    if (other)
        return add_to_flow(other, p, now, bytes, ifindex, direction, c);
    c->flow_lost_full++;
    c->flow_lost_full_bytes += bytes;
    return 1;
}

/* True if this interface is the one that the flow is counted on. */
static __always_inline int keep_flow(struct control *ctl, u32 flow_slot, struct ruleset *rs,
                                     struct parsed *p, u64 now, u32 bytes, u32 ifindex,
                                     u32 direction, u32 rule, struct counters *c)
{
    struct flow_value *f = find_flow(flow_slot, &p->key);

    if (f)
        return add_to_flow(f, p, now, bytes, ifindex, direction, c);
    if (in_transit(ctl, flow_slot, rs, &p->key, now, ifindex, direction)) {
        c->flow_other_interface++;
        return 0;
    }
    return new_flow(flow_slot, p, now, bytes, ifindex, direction, rule, c);
}

/* The same where flows are not kept. */
static __always_inline int is_home(struct flow_key *k, u32 ifindex, u32 direction)
{
    struct home *h = homes.lookup(k);
    struct home n = {.ifindex = ifindex, .direction = direction};

    if (h)
        return h->ifindex == ifindex && h->direction == direction;
    homes.update(k, &n);
    return 1;
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

/* Without branches: the verifier would walk each combination of them. */
static __always_inline u64 is_dns_port(struct ruleset *rs, u16 port)
{
    u64 found = 0, differs;
    int i;

#pragma unroll
    for (i = 0; i < MAX_DNS_PORTS; i++) {
        differs = rs->dns_ports[i] ^ port;
        opaque(differs);
        found |= (differs - 1) >> 63;
    }
    return found;
}

/* A packet that may hold a DNS message: the program for those takes it from here,
 * and this one ends. */
static __always_inline void hand_over_dns(struct __sk_buff *skb, struct ruleset *rs, u32 flow_slot,
                                          struct parsed *p, u64 now, u32 direction, u32 rule)
{
    u32 zero = 0;
    struct handover *h;
    u64 to = is_dns_port(rs, p->dport), from = is_dns_port(rs, p->sport);

    if (!(to | from))
        return;
    h = handovers.lookup(&zero);
    if (!h)
        return;
    __builtin_memcpy(&h->key, &p->key, sizeof(h->key));
    h->now = now;
    h->network = p->network;
    h->transport = p->transport;
    h->ifindex = skb->ifindex;
    h->generation = rs->generation;
    h->flow_slot = flow_slot;
    h->etype = p->etype;
    h->direction = direction;
    h->rule = rule;
    h->to_server = to;
    h->from_server = from;
    h->flags = p->flags;
    tails.call(skb, TAIL_DNS);
}

static __always_inline int capture(struct __sk_buff *skb, u32 direction, int ethernet)
{
    u32 zero = 0, slot, flow_slot, bytes, rule, flow_rule = NO_RULE;
    struct control *ctl = control.lookup(&zero);
    struct counters *c = counters.lookup(&zero);
    struct parsed p = {};
    struct ruleset *rs;
    u64 word, now, v;
    int counted = 0;

    if (!ctl || !c)
        return PASS;
    word = *(volatile u64 *)&ctl->word;
    slot = word & 1;
    flow_slot = word >> 1 & 1;
    rs = rulesets.lookup(&slot);
    if (!rs || !(rs->capture & (CAPTURE_FLOWS | CAPTURE_PACKETS | CAPTURE_DNS | CAPTURE_RTT |
                                CAPTURE_COUNTS)))
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
    if (v & rs->counted)
        add_hit(slot, 0, lowest(v & rs->counted), bytes);
    if (rs->capture & CAPTURE_FLOWS && p.ip) {
        if (decide(rs, slot, 0, v, bytes, &flow_rule)) {
            c->flow_accepted++;
            counted = keep_flow(ctl, flow_slot, rs, &p, now, bytes, skb->ifindex, direction,
                                flow_rule, c);
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
    if (!(rs->capture & (CAPTURE_DNS | CAPTURE_RTT)) || !p.transport)
        return PASS;
    if (!(rs->capture & CAPTURE_FLOWS))
        counted = verdict(rs, 0, v, &flow_rule) && is_home(&p.key, skb->ifindex, direction);
    if (!counted)
        return PASS;
    if (rs->capture & CAPTURE_RTT && p.known & KNOWN_FLAGS)
        follow_handshake(&p, flow_slot, now, flow_rule, c);
    if (rs->capture & CAPTURE_DNS && p.known & KNOWN_PORTS)
        hand_over_dns(skb, rs, flow_slot, &p, now, direction, flow_rule);
    return PASS;
}

int nobs_eth_in(struct __sk_buff *skb) { return capture(skb, 0, 1); }
int nobs_eth_out(struct __sk_buff *skb) { return capture(skb, 1, 1); }
int nobs_ip_in(struct __sk_buff *skb) { return capture(skb, 0, 0); }
int nobs_ip_out(struct __sk_buff *skb) { return capture(skb, 1, 0); }
