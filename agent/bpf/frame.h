/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Bytes of a frame at a TC hook.
 *
 * Headers are copied out: straight from the linear part where they lie there,
 * else with bpf_skb_load_bytes, which reads paged data too and leaves the packet
 * as it was (pulling would not). */

#define SOURCE struct __sk_buff

/* Copied by words, since the compiler would go byte by byte. */
static __always_inline int load(struct __sk_buff *skb, u32 off, void *to, const u32 n)
{
    void *from = (void *)(long)skb->data + (off & 0xfff);
    void *end = (void *)(long)skb->data_end;
    u32 i;

    if (off > 0xfff || from + n > end)
        return bpf_skb_load_bytes(skb, off, to, n);
#pragma unroll
    for (i = 0; i + 8 <= n; i += 8)
        *(u64 *)(to + i) = *(u64 *)(from + i);
    if (n & 4) {
        *(u32 *)(to + i) = *(u32 *)(from + i);
        i += 4;
    }
    if (n & 2)
        *(u16 *)(to + i) = *(u16 *)(from + i);
    return 0;
}

