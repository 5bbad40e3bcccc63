/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Which rule decides a packet: bit-vector classification.
 *
 * Each dimension gives the vector of the rules that the packet's value
 * satisfies; the AND of all is the set of rules that match, its lowest bit the
 * one that decides. A dimension that no rule looks at is not looked up.
 *
 * A condition on "either end" is the OR of two conjunctions, forward (f) and
 * reverse (r): the source's part and the destination's part are ANDed within
 * each, so that `cidr A peer_cidr B` holds for A to B and B to A and nothing
 * else. A rule without that choice has nothing in r. */

static __always_inline u64 match_ports(struct ruleset *rs, u32 slot, struct parsed *p)
{
    u32 s = slot << 17 | p->sport;
    u32 d = slot << 17 | 1 << 16 | p->dport;
    struct ends *src, *dst;

    if (!(p->known & KNOWN_PORTS))
        return rs->no_ports;
    src = ports.lookup(&s);
    dst = ports.lookup(&d);
    if (!src || !dst)
        return 0;
    return (src->f & dst->f) | (src->r & dst->r);
}

static __always_inline u64 match_small(u32 slot, u32 table, u8 value)
{
    u32 i = slot << 10 | table << 8 | value;
    u64 *v = small.lookup(&i);

    return v ? *v : 0;
}

static __always_inline struct address_vectors *find_address(struct ruleset *rs, u32 slot, u8 *addr)
{
    struct address_vectors *v = 0;

    if (rs->dims & DIM_ADDRESS) {
        struct host h = {.slot = slot};

        copy16(h.addr, addr);
        v = hosts.lookup(&h);
    }
    if (!v && rs->dims & DIM_PREFIX) {
        struct prefix k = {.length = 32 + 128, .slot = slot};

        copy16(k.addr, addr);
        v = prefixes.lookup(&k);
    }
    return v ? v : &rs->anywhere;
}

static __always_inline u64 match_addresses(struct ruleset *rs, u32 slot, struct parsed *p)
{
    struct address_vectors *src = find_address(rs, slot, p->key.src);
    struct address_vectors *dst = find_address(rs, slot, p->key.dst);

    return (src->src.f & dst->dst.f) | (src->src.r & dst->dst.r);
}

/* Vector of the rules that hold for this packet. */
static __always_inline u64 classify(struct ruleset *rs, u32 slot, struct parsed *p, u32 ifindex,
                                    u32 direction)
{
    u64 v = rs->all;
    u32 dims = rs->dims;

    if (dims & DIM_DIRECTION)
        v &= rs->direction[direction & 1];
    if (dims & DIM_INTERFACE) {
        struct if_key k = {.ifindex = ifindex, .slot = slot};
        u64 *found = if_vectors.lookup(&k);

        v &= found ? *found : rs->no_interface;
    }
    if (!p->ip)
        return v & rs->not_ip;
    if (dims & DIM_PROTOCOL)
        v &= match_small(slot, SMALL_PROTOCOL, p->proto);
    if (dims & DIM_PORT)
        v &= match_ports(rs, slot, p);
    if (dims & DIM_ICMP) {
        if (p->known & KNOWN_ICMP)
            v &= match_small(slot, SMALL_ICMP_TYPE, p->icmp_type) &
                 match_small(slot, SMALL_ICMP_CODE, p->icmp_code);
        else
            v &= rs->no_icmp;
    }
    if (dims & DIM_FLAGS) {
        if (p->known & KNOWN_FLAGS)
            v &= match_small(slot, SMALL_FLAGS, p->flags);
        else
            v &= rs->no_flags;
    }
    if (v && dims & (DIM_ADDRESS | DIM_PREFIX))
        v &= match_addresses(rs, slot, p);
    return v;
}

/* Number of the lowest bit set; compilers differ in what they make of ctz. */
static __always_inline u32 lowest(u64 v)
{
    u32 n = 0;

    v &= -v;
    if (v & 0xffffffff00000000ULL) n |= 32;
    if (v & 0xffff0000ffff0000ULL) n |= 16;
    if (v & 0xff00ff00ff00ff00ULL) n |= 8;
    if (v & 0xf0f0f0f0f0f0f0f0ULL) n |= 4;
    if (v & 0xccccccccccccccccULL) n |= 2;
    if (v & 0xaaaaaaaaaaaaaaaaULL) n |= 1;
    return n;
}

/* Verdict for one kind of capture; *rule becomes what decided. */
static __always_inline int verdict(struct ruleset *rs, u32 kind, u64 v, u32 *rule)
{
    int accept = rs->capture & (kind ? ACCEPT_PACKETS : ACCEPT_FLOWS);

    v &= kind ? rs->packets : rs->flows;
    *rule = NO_RULE;
    if (v) {
        *rule = lowest(v);
        accept = (v & -v & rs->accept) != 0;
    }
    return accept != 0;
}
