/*
 * A strict check of JSON text that arrives in pieces, before any parser builds objects from
 * it: RFC 8259 grammar, valid UTF-8, no NUL (raw or \u0000), no unpaired surrogate, bounded
 * depth and counts, integers that fit in 64 bits, no duplicate keys, nothing after the
 * value. Memory is bounded by max_keys.
 *
 * One thread at a time: json_scan_init(), json_scan_push() for each piece,
 * json_scan_finish(), json_scan_release(). The text is not kept.
 *
 * Three readers exist, each for what the others can't do. scan checks untrusted bytes as
 * they arrive and builds nothing, so that a body is refused at its first invalid byte.
 * http/json-in reads the fields of a small body that scan has accepted, from json-c's tree,
 * and names the field that is wrong. read pulls values out of a file of tens of megabytes
 * (tokenizer.json) in place, without a tree.
 */
#ifndef ORCD_JSON_SCAN_H
#define ORCD_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_SCAN_DEPTH 32
#define JSON_SCAN_NUMBER_BYTES 64

struct json_scan_limits {
    uint32_t max_values;     /* of any kind */
    uint32_t max_containers; /* objects and arrays */
    uint32_t max_keys;       /* of all open objects together */
};

struct json_scan {
    struct json_scan_limits limits;
    uint64_t offset;   /* bytes accepted; after an error: where the invalid byte is */
    const char *error; /* static text; NULL: none */
    bool no_memory;    /* the error says nothing about the text */
    uint8_t state, depth;
    bool is_object[JSON_SCAN_DEPTH];
    uint32_t keys_at[JSON_SCAN_DEPTH]; /* first key of each open object */
    uint32_t n_values, n_containers, n_keys, keys_cap;
    uint64_t *keys; /* seeded hashes of the keys of open objects */
    uint64_t seed[2], hash;
    /* the string or number being read */
    bool is_key, negative, integer, overflow;
    uint8_t utf8_left, utf8_lo, utf8_hi, hex_left;
    uint32_t hex, high; /* the \u escape being read; the high surrogate before it, or 0 */
    uint64_t number;
    uint32_t n_number;
    const char *literal; /* the part of true, false or null that must still follow */
};

/* seed: two random numbers, so that no client can choose keys whose hashes collide. */
void json_scan_init(struct json_scan *s, const struct json_scan_limits *limits, const uint64_t seed[2]);
/* False: the text is invalid. s->error is the reason, s->offset the position; all later
 * calls fail too. */
bool json_scan_push(struct json_scan *s, const char *text, size_t n);
bool json_scan_finish(struct json_scan *s);
void json_scan_release(struct json_scan *s);

#endif
