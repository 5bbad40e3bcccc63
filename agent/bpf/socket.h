/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* A struct sock: the key of its connection and its place. */

#define copy_address(to, sk, offset) \
    bpf_probe_read_kernel(to, 16, (void *)((sk) + (offset)))

/* The key from the local end to the remote one, or the reverse. False where the
 * socket is not of IP. */
static __always_inline int read_socket(u64 sk, struct parsed *p, int from_remote)
{
    u16 family = peek(u16, sk, SOCK_FAMILY);
    u16 local = peek(u16, sk, SOCK_NUM), remote = ntoh16(peek(u16, sk, SOCK_DPORT));
    u8 *here = from_remote ? p->key.dst : p->key.src;
    u8 *there = from_remote ? p->key.src : p->key.dst;

    /* A socket gives its port back before it is told to be closed. */
    if (!local)
        local = ntoh16(peek(u16, sk, INET_SPORT));

    if (family == FAMILY_IPV4) {
        ((u64 *)here)[1] = 0xffff0000ULL | (u64)peek(u32, sk, SOCK_RCV_SADDR) << 32;
        ((u64 *)there)[1] = 0xffff0000ULL | (u64)peek(u32, sk, SOCK_DADDR) << 32;
        p->etype = ETH_IPV4;
    } else if (family == FAMILY_IPV6) {
        copy_address(here, sk, SOCK_V6_RCV_SADDR);
        copy_address(there, sk, SOCK_V6_DADDR);
        /* an IPv6 socket may speak IPv4 */
        p->etype = ((u64 *)there)[0] == 0 && ((u32 *)there)[2] == 0xffff0000 ? ETH_IPV4 : ETH_IPV6;
    } else {
        return 0;
    }
    p->ip = 1;
    p->proto = PROTO_TCP;
    p->sport = from_remote ? remote : local;
    p->dport = from_remote ? local : remote;
    p->known = KNOWN_PORTS;
    return 1;
}

static __always_inline void place_socket(u64 sk, struct place *at)
{
    u64 dst = peek(u64, sk, SOCK_DST_CACHE);

    at->net = peek(u64, sk, SOCK_NET);
    if (is_pointer(dst)) {
        at->dev = peek(u64, dst, DST_DEV);
        if (!is_pointer(at->dev))
            at->dev = 0;
    }
}
