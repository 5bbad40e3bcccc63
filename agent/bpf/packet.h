/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* A struct sk_buff wherever it is in the stack: its IP packet and its place. */

static __always_inline int read_packet(u64 skb, struct netpacket *n, struct parsed *p)
{
    u64 head = peek(u64, skb, SKB_HEAD), data = peek(u64, skb, SKB_DATA);
    u32 len = peek(u32, skb, SKB_LEN), paged = peek(u32, skb, SKB_DATA_LEN);

    p->etype = ntoh16(peek(u16, skb, SKB_PROTOCOL));
    if (p->etype != ETH_IPV4 && p->etype != ETH_IPV6)
        return 0;
    n->head = head + peek(u16, skb, SKB_NETWORK_HEADER);
    /* data may stand before the IP header or behind it */
    n->len = len + (u32)(data - n->head);
    n->linear = n->len - paged;
    if (n->linear > n->len || n->len > 1 << 20)
        return 0;
    parse_ip(n, p);
    return p->ip;
}

/* Inodes of network namespaces: include/uapi/linux/nsfs.h, include/linux/proc_ns.h. */
#define FIRST_NETNS 0xefffff00U

/* Queued packets keep other things where `dev` was: nodes of a tree, lengths. */
static __always_inline int is_device(u64 dev)
{
    u64 net;

    if (!is_pointer(dev))
        return 0;
    net = peek(u64, dev, DEV_NET);
    return is_pointer(net) && peek(u32, net, NET_INUM) >= FIRST_NETNS;
}

/* Device and namespace. */
static __always_inline void place_packet(u64 skb, u64 sk, struct place *at)
{
    u64 dev = peek(u64, skb, SKB_DEV), dst = peek(u64, skb, SKB_DST) & ~1ULL;
    u32 arrived = peek(u32, skb, SKB_IIF);

    if (!is_pointer(dev) && !arrived && is_pointer(dst))
        dev = peek(u64, dst, DST_DEV); /* leaving, not yet given to its device */
    if (is_device(dev))
        at->dev = dev;
    else
        at->ifindex = arrived;
    /* The device tells best: what has just arrived may still have its sender's socket. */
    if (!at->dev && is_pointer(sk))
        at->net = peek(u64, sk, SOCK_NET);
    else if (!at->dev && is_pointer(dst) && is_pointer(peek(u64, dst, DST_DEV)))
        at->net = peek(u64, peek(u64, dst, DST_DEV), DEV_NET);
    at->direction = !arrived || (at->dev && peek(u32, at->dev, DEV_IFINDEX) != arrived);
}
