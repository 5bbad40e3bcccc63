/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* From an IP packet to a flow key and what the rules look at.
 *
 * Where the bytes come from is the unit's affair: it says what a SOURCE is, with
 * its length `len`, and gives load(SOURCE *, offset, to, n), n a constant and
 * `to` 8-aligned. Lengths inside headers are not trusted: only what is there
 * counts. */

#define ETH_IPV4 0x0800
#define ETH_IPV6 0x86dd
#define ETH_VLAN 0x8100
#define ETH_QINQ 0x88a8

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_DCCP 33
#define PROTO_ICMPV6 58
#define PROTO_SCTP 132
#define PROTO_UDPLITE 136

#define KNOWN_PORTS 1
#define KNOWN_ICMP 2
#define KNOWN_FLAGS 4

#define MAX_EXTENSIONS 8
#define FRAGMENT_LIFE_NS 30000000000ULL /* reassembly gives up then: RFC 1122 3.3.2 asks 60 s, Linux keeps 30 */

#define be16(p) ((u16)((p)[0] << 8 | (p)[1]))

/* Keys are hashed by 32-bit words: written by narrower stores, each word would
 * have to wait for them. So addresses are copied by 64 bits and the rest of the
 * key is put together in registers, once, by seal(). */
#define copy16(to, from)                              \
    do {                                              \
        ((u64 *)(to))[0] = ((const u64 *)(from))[0];  \
        ((u64 *)(to))[1] = ((const u64 *)(from))[1];  \
    } while (0)

struct parsed {
    struct flow_key key __attribute__((aligned(8)));
    u16 sport, dport;
    u8 proto, icmp_type, icmp_code;
    u8 headless;      /* the transport header could not be read */
    u32 fragment_id;
    u32 network;      /* offset of the network header */
    u32 transport;    /* ... and of the transport header, 0: none was looked for */
    u16 etype;
    u16 vlan_tci;
    u16 vlan_proto;   /* of a tag that stands in the metadata only */
    u8 ip;
    u8 known;         /* KNOWN_... */
    u8 flags;
    u8 dscp;
    u8 fragment;      /* 1: first, 2: later */
    u8 fragment_proto;
    u8 malformed;
    u8 macs[12] __attribute__((aligned(8)));
};

/* Ports, ICMP type and code, TCP flags: RFC 9293, 768, 9260, 792, 4443. */
static __always_inline void parse_transport(SOURCE *skb, struct parsed *p, u32 off)
{
    u8 h[16] __attribute__((aligned(8))) = {};
    u8 proto = p->proto;
    int whole = 0;

    p->transport = off;

    if (proto == PROTO_TCP) {
        whole = load(skb, off, h, 14) == 0;
        if (whole) {
            p->flags = h[13];
            p->known |= KNOWN_FLAGS;
        }
    } else if (proto == PROTO_ICMP || proto == PROTO_ICMPV6) {
        if (load(skb, off, h, 2) < 0)
            return;
        p->icmp_type = h[0];
        p->icmp_code = h[1];
        p->known |= KNOWN_ICMP;
        p->headless = 0;
        return;
    } else if (proto != PROTO_UDP && proto != PROTO_SCTP && proto != PROTO_UDPLITE &&
               proto != PROTO_DCCP) {
        return;
    }
    if (!whole && load(skb, off, h, 4) < 0)
        return;
    p->sport = be16(h);
    p->dport = be16(h + 2);
    p->known |= KNOWN_PORTS;
    p->headless = 0;
}

static __always_inline int has_transport(u8 proto)
{
    return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_ICMP ||
           proto == PROTO_ICMPV6 || proto == PROTO_SCTP || proto == PROTO_UDPLITE ||
           proto == PROTO_DCCP;
}

/* A later fragment carries no transport header: it takes that of its first. */
static __always_inline void follow_fragment(struct parsed *p, struct counters *c)
{
    struct fragment_key k = {.id = p->fragment_id, .proto = p->fragment_proto};
    struct fragment *f;

    copy16(k.src, p->key.src);
    copy16(k.dst, p->key.dst);
    if (p->fragment == 1) {
        struct fragment n = {
            .time_ns = bpf_ktime_get_ns(), .sport = p->sport, .dport = p->dport,
            .proto = p->proto, .icmp_type = p->icmp_type, .icmp_code = p->icmp_code,
            .flags = p->flags, .known = p->known,
        };
        fragments.update(&k, &n);
        return;
    }
    f = fragments.lookup(&k);
    if (!f || bpf_ktime_get_ns() - f->time_ns > FRAGMENT_LIFE_NS) {
        c->fragment_unattributed++;
        return;
    }
    c->fragment_followed++;
    p->proto = f->proto;
    p->sport = f->sport;
    p->dport = f->dport;
    p->icmp_type = f->icmp_type;
    p->icmp_code = f->icmp_code;
    p->flags = f->flags;
    p->known = f->known;
    p->headless = has_transport(f->proto) && !(f->known & (KNOWN_PORTS | KNOWN_ICMP));
}

static __always_inline void parse_ipv4(SOURCE *skb, struct parsed *p, u8 *h)
{
    u32 ihl = (h[0] & 15) * 4;
    u16 frag = be16(h + 6);

    if (h[0] >> 4 != 4 || ihl < 20 || p->network + ihl > skb->len) {
        p->malformed = 1;
        return;
    }
    p->ip = 1;
    p->dscp = h[1] >> 2;
    ((u64 *)p->key.src)[1] = 0xffff0000ULL | (u64)*(u32 *)(h + 12) << 32;
    ((u64 *)p->key.dst)[1] = 0xffff0000ULL | (u64)*(u32 *)(h + 16) << 32;
    p->proto = p->fragment_proto = h[9];
    p->headless = has_transport(h[9]);
    if (frag & 0x3fff) {
        p->fragment = frag & 0x1fff ? 2 : 1;
        p->fragment_id = be16(h + 4);
    }
    if (p->fragment != 2)
        parse_transport(skb, p, p->network + ihl);
}

/* RFC 8200 section 4; AH (51) counts its length in other units: RFC 4302. */
static __always_inline void parse_ipv6(SOURCE *skb, struct parsed *p, u8 *h)
{
    u32 off = p->network + 40;
    u8 next = h[6];
    u8 e[8] __attribute__((aligned(8)));
    int i, whole = 0;

    if (h[0] >> 4 != 6) {
        p->malformed = 1;
        return;
    }
    p->ip = 1;
    p->dscp = (h[0] & 15) << 2 | h[1] >> 6;
    copy16(p->key.src, h + 8);
    copy16(p->key.dst, h + 24);
    for (i = 0; i <= MAX_EXTENSIONS; i++) {
        if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60 && next != 135) {
            whole = 1;
            break;
        }
        if (i == MAX_EXTENSIONS || load(skb, off, e, 8) < 0)
            break;
        if (next == 44) {
            p->fragment_id = (u32)be16(e + 4) << 16 | be16(e + 6);
            p->fragment_proto = e[0];
            if (be16(e + 2) & 0xfff8) {
                next = e[0];
                p->fragment = 2;
                break;
            }
            if (e[3] & 1)
                p->fragment = 1;
            off += 8;
        } else if (next == 51) {
            off += (e[1] + 2) * 4;
        } else {
            off += (e[1] + 1) * 8;
        }
        next = e[0];
    }
    p->proto = next;
    p->headless = !whole || has_transport(next);
    if (whole)
        parse_transport(skb, p, off);
}

static __always_inline void seal(struct parsed *p)
{
    *(u64 *)&p->key.sport = p->sport | (u64)p->dport << 16 | (u64)p->proto << 32 |
                            (u64)p->icmp_type << 40 | (u64)p->icmp_code << 48 |
                            (u64)p->headless << 56;
}

/* p->etype and p->network are known. */
static __always_inline void parse_ip(SOURCE *skb, struct parsed *p)
{
    u8 h[40] __attribute__((aligned(8)));

    if (p->etype == ETH_IPV4) {
        if (load(skb, p->network, h, 20) < 0)
            p->malformed = 1;
        else
            parse_ipv4(skb, p, h);
    } else if (p->etype == ETH_IPV6) {
        if (load(skb, p->network, h, 40) < 0)
            p->malformed = 1;
        else
            parse_ipv6(skb, p, h);
    }
}

/* As flows have them: combinations that came in one packet are bits of their own. */
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
