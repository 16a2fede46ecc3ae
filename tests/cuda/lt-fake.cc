#include "tests/cuda/lt-fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>

#include "plugins/cuda/simt/cublaslt.h"
#define SIMT_BOTH inline
struct float2 {
    float x, y;
};
#include "plugins/cuda/simt/half.h"

lt_fake fake;

namespace
{

enum kind { HANDLE = 71, DESC, LAYOUT, PREFERENCE };
struct object {
    kind is;
    /* descriptor */
    int32_t trans[2];
    /* layout */
    int type;
    uint64_t rows, columns;
    int64_t ld, stride;
    int32_t batch;
    /* preference */
    uint64_t workspace;
    uint32_t align[4], reductions;
};

bool wrong(const char *what)
{
    printf("# cuBLASLt: %s\n", what);
    fake.wrong++;
    return true;
}

bool fails()
{
    fake.calls++;
    return fake.fail_call > 0 && --fake.fail_call == 0;
}

bool is(const void *p, kind k)
{
    if (p && static_cast<const object *>(p)->is == k)
        return true;
    wrong("a descriptor of another kind, or none");
    return false;
}

int make(void **out, kind k)
{
    *out = reinterpret_cast<void *>(uintptr_t{1}); /* nobody must look at it after a failure */
    if (fails())
        return fake.fail_with;
    object *o = static_cast<object *>(calloc(1, sizeof *o));
    o->is = k;
    o->batch = 1;
    o->workspace = 0;
    o->reductions = 7;
    for (uint32_t &a : o->align)
        a = 256;
    fake.live++;
    *out = o;
    return 0;
}

int unmake(void *p, kind k)
{
    if (!is(p, k))
        return 7;
    memset(p, 0, sizeof(object));
    free(p);
    fake.live--;
    return 0;
}

int create(void **out)
{
    return make(out, HANDLE);
}
int destroy(void *handle)
{
    return unmake(handle, HANDLE);
}
const char *status_string(int status)
{
    return status == 15 ? "not supported" : "something";
}

int desc_create(void **out, int compute_type, int scale_type)
{
    if (compute_type != 68 || scale_type != 0)
        wrong("sums that are not in float32");
    return make(out, DESC);
}
int desc_destroy(void *desc)
{
    return unmake(desc, DESC);
}
int desc_set(void *desc, int attribute, const void *value, size_t bytes)
{
    int32_t v = -1;
    if (!is(desc, DESC) || (attribute != 3 && attribute != 4) || bytes != sizeof v)
        return wrong("an attribute of a product that is none, or its size") ? 7 : 0;
    if (fails())
        return fake.fail_with;
    memcpy(&v, value, bytes);
    if (v != 0 && v != 1)
        wrong("neither transposed nor not");
    static_cast<object *>(desc)->trans[attribute - 3] = v;
    return 0;
}

int layout_create(void **out, int type, uint64_t rows, uint64_t columns, int64_t ld)
{
    if ((type != 0 && type != 2 && type != 14) || !rows || !columns || ld < static_cast<int64_t>(rows))
        wrong("a matrix whose columns overlap, or of no type");
    int rc = make(out, LAYOUT);
    if (rc == 0) {
        object *o = static_cast<object *>(*out);
        o->type = type, o->rows = rows, o->columns = columns, o->ld = ld;
    }
    return rc;
}
int layout_destroy(void *layout)
{
    return unmake(layout, LAYOUT);
}
int layout_set(void *layout, int attribute, const void *value, size_t bytes)
{
    if (!is(layout, LAYOUT) || !((attribute == 5 && bytes == 4) || (attribute == 6 && bytes == 8)))
        return wrong("an attribute of a matrix that is none, or its size") ? 7 : 0;
    if (fails())
        return fake.fail_with;
    object *o = static_cast<object *>(layout);
    memcpy(attribute == 5 ? static_cast<void *>(&o->batch) : &o->stride, value, bytes);
    return 0;
}

int pref_create(void **out)
{
    return make(out, PREFERENCE);
}
int pref_destroy(void *preference)
{
    return unmake(preference, PREFERENCE);
}
int pref_set(void *preference, int attribute, const void *value, size_t bytes)
{
    bool known =
        attribute == 1 ? bytes == 8 : (attribute == 3 || (attribute >= 5 && attribute <= 8)) && bytes == 4;
    if (!is(preference, PREFERENCE) || !known)
        return wrong("an attribute of a preference that is none, or its size") ? 7 : 0;
    if (fails())
        return fake.fail_with;
    object *o = static_cast<object *>(preference);
    memcpy(attribute == 1   ? static_cast<void *>(&o->workspace)
           : attribute == 3 ? &o->reductions
                            : &o->align[attribute - 5],
        value, bytes);
    return 0;
}

/* That op(A), op(B), C and D go together. */
void fit(const object *d, const object *a, const object *b, const object *c, const object *r)
{
    uint64_t m = d->trans[0] ? a->columns : a->rows, k = d->trans[0] ? a->rows : a->columns;
    uint64_t k2 = d->trans[1] ? b->columns : b->rows, n = d->trans[1] ? b->rows : b->columns;
    if (k != k2 || r->rows != m || r->columns != n || a->type != b->type ||
        (r->type != 0 && r->type != a->type) || a->batch != r->batch || b->batch != r->batch)
        wrong("matrices that do not go together");
    if (c->type != r->type || c->rows != r->rows || c->columns != r->columns || c->ld != r->ld ||
        c->batch != r->batch || c->stride != r->stride)
        wrong("a result unlike what is added to it");
}

/* What an algorithm is good for: another shape or alignment has another. */
void mark(simt::lt::algorithm *algo, const object *d, const object *const layouts[], const uint32_t *align)
{
    uint64_t h = static_cast<uint64_t>(d->trans[0] * 2 + d->trans[1]);
    for (int i = 0; i < 3; i++)
        for (uint64_t x : {layouts[i]->rows, layouts[i]->columns, static_cast<uint64_t>(layouts[i]->ld),
                 static_cast<uint64_t>(layouts[i]->stride), static_cast<uint64_t>(layouts[i]->batch),
                 static_cast<uint64_t>(layouts[i]->type)})
            h = (h ^ x) * 1099511628211u;
    memset(algo, 0, sizeof *algo);
    algo->data[0] = h;
    for (int i = 0; i < 4; i++)
        algo->data[i + 1] = align[i];
}

int heuristic(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference, int asked,
    simt::lt::candidate *out, int *returned)
{
    if (!is(handle, HANDLE) || !is(desc, DESC) || !is(a, LAYOUT) || !is(b, LAYOUT) || !is(c, LAYOUT) ||
        !is(d, LAYOUT) || !is(preference, PREFERENCE) || asked < 3)
        return 7;
    fake.heuristics++;
    if (fails())
        return fake.fail_with;
    const object *p = static_cast<object *>(preference);
    const object *const layouts[] = {
        static_cast<object *>(a), static_cast<object *>(b), static_cast<object *>(d)};
    fit(static_cast<object *>(desc), layouts[0], layouts[1], static_cast<object *>(c), layouts[2]);
    if (p->reductions != 0)
        wrong("sums may be split");
    fake.workspace_limit = p->workspace;
    memcpy(fake.align, p->align, sizeof fake.align);
    *returned = 0;
    if (fake.nothing)
        return 0;
    /* one that is none, one that needs more than there is, a good one */
    memset(out, 0xEE, 3 * sizeof *out);
    out[0].state = 15;
    out[1].state = 0;
    out[1].workspace_bytes = p->workspace + 1;
    out[2].state = 0;
    out[2].workspace_bytes = p->workspace;
    mark(&out[2].algo, static_cast<object *>(desc), layouts, p->align);
    *returned = 3;
    return 0;
}

double load(const void *p, int type, int64_t i)
{
    uint16_t h;
    float f;
    if (type == 0) {
        memcpy(&f, static_cast<const char *>(p) + i * 4, 4);
        return f;
    }
    memcpy(&h, static_cast<const char *>(p) + i * 2, 2);
    return type == 2 ? simt::detail::half_to_float(h)
                     : simt::detail::float_of(static_cast<uint32_t>(h) << 16);
}

void store(void *p, int type, int64_t i, double x)
{
    float f = static_cast<float>(x);
    uint16_t h = type == 2 ? simt::detail::half_from_float(f) : simt::detail::bf16_from_float(f);
    if (type == 0)
        memcpy(static_cast<char *>(p) + i * 4, &f, 4);
    else
        memcpy(static_cast<char *>(p) + i * 2, &h, 2);
}

int matmul(void *handle, void *desc, const void *alpha, const void *pa, void *a, const void *pb, void *b,
    const void *beta, const void *pc, void *c, void *pd, void *d, const simt::lt::algorithm *algo,
    void *workspace, size_t workspace_bytes, void *stream)
{
    if (!is(handle, HANDLE) || !is(desc, DESC) || !is(a, LAYOUT) || !is(b, LAYOUT) || !is(c, LAYOUT) ||
        !is(d, LAYOUT) || !algo || pc != pd)
        return 7;
    fake.matmuls++;
    if (fails())
        return fake.fail_with;
    const object *o = static_cast<object *>(desc), *la = static_cast<object *>(a);
    const object *lb = static_cast<object *>(b), *ld = static_cast<object *>(d);
    const object *const layouts[] = {la, lb, ld};
    fit(o, la, lb, static_cast<object *>(c), ld);
    uint32_t align[4];
    const void *at[] = {pa, pb, pc, pd};
    for (int i = 0; i < 4; i++) {
        align[i] = static_cast<uint32_t>(algo->data[i + 1]);
        if (!align[i] || (align[i] & (align[i] - 1)) || reinterpret_cast<uintptr_t>(at[i]) % align[i])
            wrong("a pointer that is not aligned as was said");
    }
    simt::lt::algorithm right;
    mark(&right, o, layouts, align);
    if (memcmp(&right, algo, sizeof right) != 0)
        wrong("an algorithm of another shape");
    fake.stream = stream;
    fake.workspace = workspace;
    fake.workspace_bytes = workspace_bytes;
    float by = *static_cast<const float *>(alpha), plus = *static_cast<const float *>(beta);
    int64_t rows = static_cast<int64_t>(ld->rows), columns = static_cast<int64_t>(ld->columns);
    int64_t k = static_cast<int64_t>(o->trans[0] ? la->rows : la->columns);
    for (int64_t p = 0; p < ld->batch; p++)
        for (int64_t j = 0; j < columns; j++)
            for (int64_t i = 0; i < rows; i++) {
                double sum = 0;
                for (int64_t x = 0; x < k; x++)
                    sum +=
                        load(pa, la->type, p * la->stride + (o->trans[0] ? i * la->ld + x : x * la->ld + i)) *
                        load(pb, lb->type, p * lb->stride + (o->trans[1] ? x * lb->ld + j : j * lb->ld + x));
                int64_t to = p * ld->stride + j * ld->ld + i;
                sum *= by;
                if (plus != 0)
                    sum += plus * load(pc, ld->type, to);
                store(pd, ld->type, to, sum);
            }
    return 0;
}

} // namespace

void *lt_fake_symbol(const char *name)
{
    struct {
        const char *name;
        void *function;
    } const all[] = {
#define X(member, symbol) {#symbol, reinterpret_cast<void *>(member)},
        SIMT_LT_FUNCTIONS(X)
#undef X
    };
    for (const auto &f : all)
        if (strcmp(f.name, name) == 0)
            return f.function;
    return nullptr;
}
