/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Smoothed round-trip time of TCP sockets: tracepoint tcp:tcp_probe, once for
 * each segment that an established socket receives. Only for flows that are
 * captured. */

int nobs_rtt(struct raw_args *ctx)
{
    u64 sk = ctx->args[0];
    struct parsed p = {};
    struct place at = {};
    struct hook k = {};
    struct flow_value *f;
    struct flow_extra *e;
    u32 srtt;

    if (!begin(&k, CAPTURE_RTT) || !read_socket(sk, &p, 1))
        return 0;
    seal(&p);
    f = find_flow(k.flow_slot, &p.key);
    if (!f)
        return 0;
    place_socket(sk, &at);
    srtt = peek(u32, sk, TCP_SRTT) >> 3; /* stored in eighths */
    if (!srtt || !locate(&at))
        return 0;
    e = extra_of(k.flow_slot, &p.key, bpf_ktime_get_ns(), p.etype, f->rule, k.c);
    if (!e)
        return 0;
    if (srtt > e->srtt_us)
        e->srtt_us = srtt;
    e->seen |= EXTRA_RTT;
    return 0;
}
