/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* From a frame to its IP packet. */

/* IEEE 802.1Q; a tag that the driver took off stands in the metadata. */
static __always_inline u32 parse_link(struct __sk_buff *skb, struct parsed *p)
{
    u32 off = 14;
    u8 h[16] __attribute__((aligned(8)));
    u8 tag[4] __attribute__((aligned(8)));
    int i;

    if (load(skb, 0, h, 14) < 0)
        return 0;
    *(u64 *)p->macs = *(u64 *)h;
    *(u32 *)(p->macs + 8) = *(u32 *)(h + 8);
    p->etype = be16(h + 12);
    if (skb->vlan_present) {
        p->vlan_tci = skb->vlan_tci;
        p->vlan_proto = ntoh16(skb->vlan_proto);
    }
    for (i = 0; i < 2; i++) {
        if (p->etype != ETH_VLAN && p->etype != ETH_QINQ)
            break;
        if (load(skb, off, tag, 4) < 0)
            break;
        if (!p->vlan_tci)
            p->vlan_tci = be16(tag);
        p->etype = be16(tag + 2);
        off += 4;
    }
    return off;
}

static __always_inline void parse(struct __sk_buff *skb, struct parsed *p, int ethernet)
{
    if (ethernet)
        p->network = parse_link(skb, p);
    else
        p->etype = ntoh16(skb->protocol);
    parse_ip(skb, p);
}
