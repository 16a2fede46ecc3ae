/* The JSON of a job request, checked field by field. No state: any thread. */
#ifndef ORCD_API_PARAMS_H
#define ORCD_API_PARAMS_H

#include "api/api.h"
#include "http/error.h"

/* Fills in *r, except what comes from the head: owner, correlation id, arrival, deadline.
 * False: error is set. In both cases r may hold memory, which request_release() frees. */
bool params_read_job(
    struct request *r, const struct api_model *model, const char *body, size_t n, struct http_error *error);

/* {"job_id": ...} */
bool params_read_job_id(char job_id[JOB_ID_MAX + 1], const char *body, size_t n, struct http_error *error);
bool params_job_id_ok(const char *id, size_t n);

#endif
