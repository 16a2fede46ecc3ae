/* Shared by the files that write the HTML report (report-html.c, html-measure.c). One thread. */
#ifndef ORCD_BENCH_HTML_PAGE_H
#define ORCD_BENCH_HTML_PAGE_H

#include "lib/report.h"
#include "lib/svg.h"

#define PAGE_COLOURS 16

struct page {
    const struct bench_report *report;
    FILE *out;
    char names[PAGE_COLOURS][32]; /* each target has one colour on the whole page */
    size_t n_names;
};

/* Prints before, text and after. before and after are markup, text is escaped. */
void page_put(struct page *g, const char *before, const char *text, const char *after);
/* The CSS class of a target's colour. Targets get colours in order of appearance. */
const char *page_colour(struct page *g, const char *target);

enum grade { GRADE_NONE, GRADE_GOOD, GRADE_WARN, GRADE_BAD };
extern const char *const grade_css[];
enum grade grade_of(enum bench_verdict v);

/* Prints the measures of one case, for all targets: those whose samples are all equal as a table, and a
 * section with a drawing for each of the others. end: the first result of the next case. */
void page_measures(struct page *g, const struct bench_result *first, const struct bench_result *end);

#endif
