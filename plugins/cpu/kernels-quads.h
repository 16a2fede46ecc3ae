/*
 * The quads of packed blocks, to and from registers; kernels-layout.h tells where they lie.
 */
#ifndef ORCD_CPU_KERNELS_QUADS_H
#define ORCD_CPU_KERNELS_QUADS_H

/* Quad g of the 8 in the words at w, which hold `bits` bits of each. bits and g are constants. */
static KERNEL_INLINE vb quad_get(int bits, const uint8_t *w, int g)
{
    const struct quad_piece *p = quad_pieces[bits][g];
    vb v = vb_field(vb_load(w + 64 * p[0].word), p[0].at, p[0].n, p[0].to);
    UNROLL
    for (int i = 1; i < 3; i++) {
        if (p[i].n)
            v = vb_or(v, vb_field(vb_load(w + 64 * p[i].word), p[i].at, p[i].n, p[i].to));
    }
    return v;
}

/* Quad g of the block of 32 number sub in the packed block at p. All but p constant. */
static KERNEL_INLINE vb unpack_quad(uint32_t type, const uint8_t *p, int sub, int g)
{
    const struct packed_type t = packed_type_of(type);
    const uint8_t *q = p + t.quants;
    if (t.bits)
        return quad_get((int)t.bits, q + 64 * (int)t.bits * sub, g);
    switch (type) {
    case ORCD_TYPE_Q4_0:
    case ORCD_TYPE_Q4_1:
        return vb_nibble(vb_load(q + 64 * (g & 3)), g >= 4);
    case ORCD_TYPE_Q5_0:
    case ORCD_TYPE_Q5_1:
        return vb_or(vb_nibble(vb_load(q + 64 * (g & 3)), g >= 4), vb_field(vb_load(p + t.high), g, 1, 4));
    case ORCD_TYPE_IQ4_NL:
        return vb_lookup(table_iq4, vb_nibble(vb_load(q + 64 * (g & 3)), g >= 4));
    case ORCD_TYPE_MXFP4:
        return vb_lookup(table_mxfp4, vb_nibble(vb_load(q + 64 * (g & 3)), g >= 4));
    case ORCD_TYPE_Q4_K:
        return vb_nibble(vb_load(q + 64 * (sub / 2 * 8 + g)), sub & 1);
    case ORCD_TYPE_IQ4_XS:
        return vb_lookup(table_iq4, vb_nibble(vb_load(q + 64 * (sub * 4 + (g & 3))), g >= 4));
    default: /* Q8_0 */
        return vb_load(q + 64 * g);
    }
}

/* The bytes at q have `bits` bits of a quad, its bits from `first` on, at bit `shift`: those that
 * piece p takes are added to the word `sum`. */
static KERNEL_INLINE vb bits_add(
    vb sum, const uint8_t *q, int shift, int bits, int first, struct quad_piece p)
{
    const int from = p.to > first ? p.to : first;
    const int end = p.to + p.n < first + bits ? p.to + p.n : first + bits;
    if (from >= end)
        return sum;
    return vb_or(sum, vb_field(vb_load(q), shift + from - first, end - from, p.at + from - p.to));
}

/* Piece p of quad g of the block of 32 number sub, added to the word `sum`. q, h: the file's
 * quants and their high bits, interleaved. */
static KERNEL_INLINE vb piece_add(
    uint32_t type, vb sum, struct quad_piece p, const uint8_t *q, const uint8_t *h, int sub, int g)
{
    switch (type) {
    case ORCD_TYPE_Q2_K:
        return bits_add(sum, q + 64 * (sub / 4 * 8 + g), 2 * (sub & 3), 2, 0, p);
    case ORCD_TYPE_Q3_K:
        sum = bits_add(sum, q + 64 * (sub / 4 * 8 + g), 2 * (sub & 3), 2, 0, p);
        return bits_add(sum, h + 64 * g, sub, 1, 2, p);
    case ORCD_TYPE_Q5_K:
        sum = bits_add(sum, q + 64 * (sub / 2 * 8 + g), 4 * (sub & 1), 4, 0, p);
        return bits_add(sum, h + 64 * g, sub, 1, 4, p);
    default: /* Q6_K */
        sum = bits_add(sum, q + 64 * (sub / 4 * 16 + (sub & 1) * 8 + g), 2 * (sub & 2), 4, 0, p);
        return bits_add(sum, h + 64 * (sub / 4 * 8 + g), 2 * (sub & 3), 2, 4, p);
    }
}

/* A block of 256 of the file to words as quad_pieces has them. */
static KERNEL_INLINE void quads_pack(uint32_t type, const uint8_t *q, const uint8_t *h, uint8_t *dst)
{
    const int bits = (int)packed_type_of(type).bits;
    UNROLL
    for (int sub = 0; sub < 8; sub++) {
        UNROLL
        for (int word = 0; word < bits; word++, dst += 64) {
            vb sum = vb_set0();
            UNROLL
            for (int g = 0; g < 8; g++) {
                UNROLL
                for (int i = 0; i < 3; i++) {
                    const struct quad_piece p = quad_pieces[bits][g][i];
                    if (p.n && p.word == word)
                        sum = piece_add(type, sum, p, q, h, sub, g);
                }
            }
            vb_store(dst, sum);
        }
    }
}

#endif
